"""The as-released reader on clips made on the spot, against a plain reading of its rules."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from extractors.base import ClipError, ClipInfo
from extractors.selavi.picture import resize_and_crop
from extractors.selavi.plan import plan_released, released_frame_index
from extractors.selavi.released import _slices, read_released
from extractors.selavi.sound import log_filterbank

Make = Callable[..., Path]


def plain_reading(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read the file whole, then cut every window on its own, as the rules say."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        fps, count, duration = float(stream.average_rate), stream.frames, stream.duration
        frames = sorted(
            ((f.pts, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)), key=lambda pair: pair[0]
        )
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=44100)
        pieces = [piece for f in container.decode(audio=0) for piece in resampler.resample(f)] + resampler.resample(
            None
        )
        wav = np.concatenate([piece.to_ndarray().reshape(-1) for piece in pieces])
    out = []
    for window in plan_released(fps, count):
        first, last = int(window.start_frame * duration / count), int(window.end_frame * duration / count)
        shown = [f for pts, f in frames if first <= pts <= last] + [f for pts, f in frames if pts > last][:1]
        picture = np.stack(
            [resize_and_crop(shown[min(k, len(shown) - 1)], released=True) for k in released_frame_index(fps)]
        )
        begin = round(window.start_s * 44100)
        end = begin + 44100
        if end > len(wav):
            begin, end = len(wav) - 44100, len(wav)
        out.append((log_filterbank(wav[begin:end]), picture))
    return out


@pytest.mark.parametrize(
    "options",
    [
        {"fps": 25}, {"fps": Fraction(24000, 1001)}, {"fps": Fraction(60000, 1001), "b_frames": 2}, {"fps": 12, "size": (48, 64)},
        {"audio_seconds": 1.5, "seconds": 3.4}, {"audio_seconds": 6.0}, {"fps": 30, "b_frames": 3, "rate": 8000},
        {"fps": 10, "layout": "stereo", "rate": 48000},
    ],
    ids=str,
)  # fmt: skip
def test_one_pass_equals_cutting_window_by_window(make_clip: Make, options: dict[str, object]) -> None:
    rng = np.random.default_rng(0)
    path = make_clip(
        **({"seconds": 4.2} | options), picture=lambda t: rng.integers(0, 256, (*_shape(options), 3), np.uint8)
    )
    windows = list(read_released(path, ClipInfo()))
    expected = plain_reading(path)
    assert len(windows) == len(expected) >= 1
    for window, (audio, visual) in zip(windows, expected, strict=True):
        assert np.array_equal(window.audio, audio)
        assert np.array_equal(window.visual, visual)


def _shape(options: dict[str, object]) -> tuple[int, int]:
    width, height = options.get("size", (64, 48))  # type: ignore[misc]
    return height, width


@pytest.mark.parametrize("length", [44100, 44099, 30000, 22050, 800, 1])
def test_slices_of_short_sound(length: int) -> None:
    # Below one second the start is negative and keeps the meaning that Python gives it.
    wav = np.arange(length, dtype=np.int16)
    starts = plan_released(30.0, 90)
    got = list(_slices(iter([(0.0, wav[: length // 2]), (None, wav[length // 2 :])]), starts, ClipInfo()))
    for window, samples in zip(starts, got, strict=True):
        begin, end = round(window.start_s * 44100), round(window.start_s * 44100) + 44100
        if end > length:
            begin, end = length - 44100, length
        assert np.array_equal(samples, wav[begin:end])


def test_a_container_without_frame_count(make_clip: Make) -> None:
    with pytest.raises(ClipError) as caught:
        list(read_released(make_clip("clip.mkv", seconds=3), ClipInfo()))
    assert caught.value.status == "unsupported"


def test_colour_tags_are_ignored(make_clip: Make) -> None:
    def picture(t: float) -> np.ndarray:
        return np.broadcast_to(np.uint8([200, 40, 90]), (48, 64, 3)).copy()

    tagged = make_clip("a.mp4", seconds=3, picture=picture, tags={"colorspace": 1})
    plain = make_clip("b.mp4", seconds=3, picture=picture)
    for one, other in zip(read_released(tagged, ClipInfo()), read_released(plain, ClipInfo()), strict=True):
        assert np.array_equal(one.visual, other.visual)
