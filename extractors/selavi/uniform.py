"""SeLaVi's uniform windows: seconds of a clip as its two networks take them (`extractors.seconds`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from avzsl.media.display import Reformat, orientation, upright
from extractors.base import ClipInfo, Window
from extractors.seconds import Convert, Second, read_uniform_seconds
from extractors.selavi.picture import SIZE, resize_and_crop, short_side_size, taps
from extractors.selavi.plan import FRAMES
from extractors.selavi.raw import raw_window
from extractors.selavi.sound import SAMPLE_RATE, log_filterbank


def read_uniform(path: Path, info: ClipInfo, *, antialias: bool = False) -> Iterator[Window]:
    """Yield a clip's uniform windows: `audio` float32 (1, 257, 99), `visual` (30, 112, 112, 3).

    `visual` is normalised float32, or uint8 RGB with `antialias`. At most a second of either stream is held in memory.
    Raises ClipError where there is no window.
    """
    for second in read_uniform_seconds(path, info, SAMPLE_RATE, FRAMES, _scaled() if antialias else _cropped()):
        yield Window(second.start, second.end, log_filterbank(_whole(second)), second.frames)


def read_uniform_raw(path: Path, info: ClipInfo, *, antialias: bool = False) -> Iterator[Window]:
    """Yield the same windows for a device to prepare (`extractors.selavi.raw`): nothing is left out, nothing computed."""
    for second in read_uniform_seconds(path, info, SAMPLE_RATE, FRAMES, _scaled() if antialias else _tapped()):
        assert second.shown is not None  # without `either` both are there
        yield raw_window(second.start, second.end, _whole(second), second.shown)


def _whole(second: Second) -> np.ndarray:
    assert second.samples is not None  # without `either` both are there
    padded = np.zeros(SAMPLE_RATE, np.int16)
    padded[: second.samples.size] = second.samples
    return padded


def _upright(reformat: Reformat, frame: VideoFrame) -> np.ndarray:
    """Return a frame as RGB with the stream's own colour matrix and range, and upright."""
    return upright(reformat(frame), orientation(frame))


def _cropped() -> Convert:
    reformat = Reformat()
    return lambda frame: resize_and_crop(_upright(reformat, frame))


def _tapped() -> Convert:
    reformat = Reformat()
    return lambda frame: taps(_upright(reformat, frame))


def _scaled() -> Convert:
    """Let swscale resize: its bilinear filter widens when it shrinks, which is antialiasing."""
    reformat = Reformat()

    def scaled(frame: VideoFrame) -> np.ndarray:
        height, width = short_side_size(frame.height, frame.width)
        pixels = upright(reformat(frame, width, height), orientation(frame))
        top, left = (pixels.shape[0] - SIZE) // 2, (pixels.shape[1] - SIZE) // 2
        return np.ascontiguousarray(pixels[top : top + SIZE, left : left + SIZE])

    return scaled
