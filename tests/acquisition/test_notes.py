"""What is odd about the shape of a picture is noted, whether the file is taken whole or cut."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avzsl.acquisition.cut import cut
from avzsl.acquisition.probe import probe


def anamorphic(path: Path, aspect: Fraction) -> Path:
    """Write two seconds of 64 x 48 pixels of some shape, with sound."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.sample_aspect_ratio = aspect
        sound = out.add_stream("aac", rate=16_000)
        rng = np.random.default_rng(0)
        for _ in range(50):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (48, 64, 3), np.uint8), format="rgb24")
            out.mux(video.encode(frame))
        wave = av.AudioFrame.from_ndarray(rng.normal(0, 0.1, (1, 32_000)).astype(np.float32), "fltp", "mono")
        wave.sample_rate = 16_000
        out.mux(sound.encode(wave))
        out.mux(video.encode())
        out.mux(sound.encode())
    return path


@pytest.mark.parametrize(("aspect", "noted"), [(Fraction(1), False), (Fraction(16, 11), True)])
def test_pixels_that_are_not_square_are_noted(tmp_path: Path, aspect: Fraction, noted: bool) -> None:
    found = probe(str(anamorphic(tmp_path / "a.mp4", aspect)))
    assert found["status"] == "ok", found
    assert ("anamorphic: its pixels are 16:11" in (found["note"] or "")) == noted
    made = cut([str(tmp_path / "a.mp4")], str(tmp_path / "b.mp4"), 0.5, 1.5, 18, 0.5)
    assert made["status"] == "ok", made
    assert ("anamorphic" in (made["note"] or "")) == noted


@pytest.mark.parametrize(("right", "noted"), [(-1.0, "antiphase"), (1.0, None), (-0.5, None), (0.0, None)])
def test_channels_that_cancel_out_are_noted(tmp_path: Path, right: float, noted: str | None) -> None:
    rng = np.random.default_rng(0)
    left = rng.normal(0, 0.1, 32_000).astype(np.float32)
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        video, sound = out.add_stream("libx264", rate=25), out.add_stream("pcm_s16le", rate=16_000, layout="stereo")
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        for _ in range(50):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (48, 64, 3), np.uint8), format="rgb24")
            out.mux(video.encode(frame))
        pairs = (np.stack([left, right * left], 1).reshape(1, -1) * 32767).astype(np.int16)
        wave = av.AudioFrame.from_ndarray(pairs, "s16", "stereo")
        wave.sample_rate = 16_000
        out.mux(sound.encode(wave))
        out.mux(video.encode())
        out.mux(sound.encode())
    made = cut([str(tmp_path / "a.mkv")], str(tmp_path / "b.mp4"), 0.5, 1.5, 18, 0.5)
    assert made["status"] == "ok", made
    assert ("antiphase" in (made["note"] or "")) == (noted is not None)
    assert "silent" not in (made["note"] or "")
