"""SeLaVi's uniform windows: seconds of a clip as its two networks take them (`extractors.seconds`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from avzsl.media.display import Reformat, orientation, upright
from extractors.base import ClipInfo, Window
from extractors.seconds import read_uniform_seconds
from extractors.selavi.picture import SIZE, resize_and_crop, short_side_size
from extractors.selavi.plan import FRAMES
from extractors.selavi.sound import SAMPLE_RATE, log_filterbank


def read_uniform(path: Path, info: ClipInfo, *, antialias: bool = False) -> Iterator[Window]:
    """Yield a clip's uniform windows: `audio` float32 (1, 257, 99), `visual` (30, 112, 112, 3).

    `visual` is normalised float32, or uint8 RGB with `antialias`. At most a second of either stream is held in memory.
    Raises ClipError where there is no window.
    """
    for second in read_uniform_seconds(path, info, SAMPLE_RATE, FRAMES, _Converter(antialias=antialias)):
        assert second.samples is not None  # without `either` both are there
        padded = np.zeros(SAMPLE_RATE, np.int16)
        padded[: second.samples.size] = second.samples
        yield Window(second.start, second.end, log_filterbank(padded), second.frames)


class _Converter:
    """Decoded frame -> 112 x 112, with the stream's own colour matrix and range, and upright."""

    def __init__(self, *, antialias: bool) -> None:
        self._antialias = antialias
        self._reformat = Reformat()

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        if self._antialias:
            return self._scaled(frame)
        return resize_and_crop(upright(self._reformat(frame), orientation(frame)))

    def _scaled(self, frame: VideoFrame) -> np.ndarray:
        """Let swscale resize: its bilinear filter widens when it shrinks, which is antialiasing."""
        height, width = short_side_size(frame.height, frame.width)
        pixels = upright(self._reformat(frame, width, height), orientation(frame))
        top, left = (pixels.shape[0] - SIZE) // 2, (pixels.shape[1] - SIZE) // 2
        return np.ascontiguousarray(pixels[top : top + SIZE, left : left + SIZE])
