"""Cuts of files in which one stream begins before the other: a click stays at the picture that it belongs to."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from avzsl.acquisition.cut import cut

RATE, FPS = 16000, 25
FLASHES = (1.0, 2.0, 3.0)


def flashes_with_clicks(path: Path, *, sound_at: float, picture_at: float) -> None:
    """Write 4 s of lossless black with flashes, and clicks at the same moments; streams begin where they are told to."""
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("ffv1", rate=FPS)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        sound: Any = out.add_stream("flac", rate=RATE, layout="mono")
        for k in range(round(picture_at * FPS), 4 * FPS):
            light = any(abs(k / FPS - t) < 1e-6 for t in FLASHES)
            frame = av.VideoFrame.from_ndarray(np.full((96, 64), 235 if light else 16, np.uint8), format="yuv420p")
            frame.planes[1].update(bytes([128]) * frame.planes[1].buffer_size)
            frame.planes[2].update(bytes([128]) * frame.planes[2].buffer_size)
            frame.pts, frame.time_base = k * 1000 // FPS, Fraction(1, 1000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        wave = np.zeros(4 * RATE, np.int16)
        for t in FLASHES:
            wave[round(t * RATE) : round(t * RATE) + 80] = 20000
        wave = wave[round(sound_at * RATE) :]
        for start in range(0, len(wave), 1152):
            block = av.AudioFrame.from_ndarray(wave[None, start : start + 1152], format="s16", layout="mono")
            block.sample_rate, block.time_base = RATE, Fraction(1, RATE)
            block.pts = round(sound_at * RATE) + start
            out.mux(sound.encode(block))
        out.mux(sound.encode(None))


def moments(path: Path) -> tuple[list[float], list[float]]:
    """Return when the flashes and the clicks of a clip come."""
    with av.open(str(path)) as clip:
        light = [f.time for f in clip.decode(video=0) if f.to_ndarray(format="gray").mean() > 120]
    with av.open(str(path)) as clip:
        loud = np.concatenate(
            [f.time + np.flatnonzero(np.abs(f.to_ndarray()[0]) > 0.25) / RATE for f in clip.decode(audio=0)]
        )
    return light, loud[np.diff(loud, prepend=-1) > 0.2].tolist()


@pytest.mark.parametrize(
    ("sound_at", "picture_at"), [(0.0, 0.0), (0.0, 0.2), (0.0, 0.04), (0.12, 0.0), (0.5, 0.48), (0.3, 0.52)]
)
@pytest.mark.parametrize("start", [0.0, 0.6, 0.99])
def test_a_click_stays_with_its_flash(tmp_path, sound_at, picture_at, start):
    source, out = tmp_path / "v.mkv", tmp_path / "o.mp4"
    flashes_with_clicks(source, sound_at=sound_at, picture_at=picture_at)
    found = cut([str(source)], str(out), start, 3.5, crf=12, tolerance_s=0.6)
    assert found["status"] == "ok", found
    light, loud = moments(out)
    assert len(light) == len(loud) == 3
    # A container that begins late counts from its beginning; the picture is put on its own frames, at most half of one off.
    assert np.abs(np.asarray(loud) - np.asarray(light)).max() < 0.5 / FPS + 0.004
    if start == 0.6:  # on a frame: nothing is rounded
        assert np.abs(np.asarray(loud) - np.asarray(light)).max() < 0.004
    assert np.diff(loud) == pytest.approx([1.0, 1.0], abs=0.002)
