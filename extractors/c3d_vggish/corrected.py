"""A clip as C3D and VGGish were trained on: 16 frames at 25 a second by time stamps, and 0.96 s of sound, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from avzsl.media.display import Reformat, orientation, upright
from extractors.base import ClipError, ClipInfo, Window
from extractors.c3d_vggish.picture import resize_and_crop
from extractors.c3d_vggish.released import FPS, FRAMES
from extractors.c3d_vggish.sound import Examples
from extractors.log_mel import RATE
from extractors.seconds import read_uniform_seconds

FEWEST = 8  # frames of a last window


def read_corrected(path: Path, info: ClipInfo) -> Iterator[Window]:
    """Yield a clip's sounds and pictures; at most two seconds of either are held.

    A clip that has sound or picture alone gives windows of that. Raises ClipError where there is none.
    """
    heard, shown = Examples(), Shown()
    windows = 0
    for second in read_uniform_seconds(path, info, RATE, FPS, Picture(), either=True, shortest=1 / FPS - 1e-3):
        found: list[Window] = []
        if second.samples is not None:
            found += heard.add(second.samples / np.float32(32768))
        if second.frames is not None:
            found += shown.add(second.frames[: round((second.end - second.start) * FPS)])
        windows += len(found)
        yield from found
    rest = [*heard.rest(), *shown.rest()]
    if not windows + len(rest):
        raise ClipError(
            "too_short", f"lasts {info.duration_s or 0:.2f} s; a window of picture needs 0.32, one of sound 0.5"
        )
    yield from rest


class Picture:
    """Decoded frame -> upright BGR uint8 (112, 112, 3)."""

    def __init__(self) -> None:
        self._reformat = Reformat()

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        # Blue first last of all: fewer numbers to turn round.
        return resize_and_crop(upright(self._reformat(frame), orientation(frame)))[..., ::-1]


class Shown:
    """Cuts frames into windows of 16."""

    def __init__(self) -> None:
        self._held: list[np.ndarray] = []
        self._done = 0

    def add(self, frames: np.ndarray) -> Iterator[Window]:
        """Yield the windows that are whole now."""
        self._held += list(frames)
        while len(self._held) >= FRAMES:
            yield self._window(FRAMES)

    def rest(self) -> Iterator[Window]:
        """Yield a last window of 8 frames or more, its last frame repeated."""
        count = len(self._held)
        if count >= FEWEST:
            self._held += [self._held[-1]] * (FRAMES - count)
            yield self._window(count)

    def _window(self, count: int) -> Window:
        start, self._done = self._done, self._done + FRAMES
        frames, self._held = self._held[:FRAMES], self._held[FRAMES:]
        return Window(start / FPS, (start + count) / FPS, visual=np.stack(frames))
