"""A clip as CLIP and CLAP take it: pictures every second, ten seconds of sound every five."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame

from avzsl.media.display import Reformat, orientation, upright
from avzsl.pretrained.clip_files import CLAPS, SECONDS, SIDE
from extractors.base import ClipInfo, Window
from extractors.clip_clap import Options
from extractors.seconds import read_uniform_seconds

HEARD_S, EVERY_S = SECONDS, 5


def read_uniform(path: Path, options: Options, info: ClipInfo) -> Iterator[Window]:
    """Yield a clip's windows in order of time; at most fifteen seconds of sound are held.

    A clip that has sound or picture alone gives windows of that. Raises ClipError where there is none.
    """
    rate = CLAPS[options.sound].rate
    heard = Sounds(rate)
    shown = Shown()
    for second in read_uniform_seconds(path, info, rate, options.frames, shown, either=True):
        if second.samples is not None:
            yield from heard.add(second.samples)
        if second.frames is not None:
            part = (second.end - second.start) / len(second.frames)
            for number, frame in enumerate(second.frames):
                start = second.start + number * part
                yield Window(start, start + part, visual=frame)
    yield from heard.rest()


class Sounds:
    """Cuts a sound into windows of ten seconds every five, the last one flush with its end."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._held = np.zeros(0, np.int16)
        self._first = 0  # place of the first held sample
        self._next = 0  # where the next window starts
        self._end = 0  # where the last window ended

    def add(self, samples: np.ndarray) -> Iterator[Window]:
        """Yield the windows that are whole now."""
        self._held = np.concatenate([self._held, samples])
        while self._first + self._held.size >= self._next + HEARD_S * self._rate:
            yield self._window(self._next, self._next + HEARD_S * self._rate)
            # A flush window can start no earlier than the one before it.
            self._held = self._held[self._next - self._first :]
            self._first, self._next = self._next, self._next + EVERY_S * self._rate

    def rest(self) -> Iterator[Window]:
        """Yield the window at the end of the sound, if there is anything that none has heard."""
        total = self._first + self._held.size
        if total > self._end:
            yield self._window(max(0, total - HEARD_S * self._rate), total)

    def _window(self, start: int, end: int) -> Window:
        self._end = end
        return Window(start / self._rate, end / self._rate, audio=self._held[start - self._first : end - self._first])


class Shown:
    """Decoded frame -> upright RGB as CLIP's preprocessing leaves it: short side to 224 bicubically, centre of 224."""

    def __init__(self) -> None:
        self._reformat = Reformat()

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        return crop(np.ascontiguousarray(upright(self._reformat(frame), orientation(frame))))


def crop(pixels: np.ndarray) -> np.ndarray:
    """Return the centre of a picture (h, w, 3) uint8 as torchvision's Resize and CenterCrop do: (224, 224, 3)."""
    from PIL import Image

    height, width = pixels.shape[:2]
    short = min(height, width)
    high, wide = (SIDE * side // short for side in (height, width))
    top, left = (round((size - SIDE) / 2.0) for size in (high, wide))
    resized = Image.fromarray(pixels).resize((wide, high), Image.Resampling.BICUBIC)
    return np.array(resized.crop((left, top, left + SIDE, top + SIDE)))
