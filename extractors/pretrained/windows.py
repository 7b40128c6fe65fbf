"""Seconds of a file as the two networks take them: the patches of sound centred in a second, two of its frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from extractors.base import ClipInfo, Window
from extractors.log_mel import RATE
from extractors.pretrained import sound
from extractors.pretrained.picture import CentreCrop
from extractors.seconds import Second, read_uniform_seconds

FRAMES = 2  # of a second: those on show at a quarter and three quarters


def read_seconds(path: Path, info: ClipInfo) -> Iterator[Window]:
    """Yield a clip's uniform windows in order of time; at most three seconds of sound are held.

    A clip that has sound or picture alone gives windows of that.

    Raises ClipError where there is none.
    """
    heard = _Patches()
    waiting: list[Second] = []
    for second in read_uniform_seconds(path, info, RATE, FRAMES, CentreCrop(), either=True):
        if second.samples is not None:
            heard.add(second.samples)
        # A patch that is centred at the end of a second reaches into the next one.
        if waiting:
            yield _window(waiting.pop(), heard)
        waiting.append(second)
    for second in waiting:
        yield _window(second, heard)


def _window(second: Second, heard: _Patches) -> Window:
    audio = None if second.samples is None else heard.within(second.start, second.end)
    return Window(second.start, second.end, audio, second.frames)


class _Patches:
    """The sound of a clip from its beginning, of which only the last seconds are kept."""

    def __init__(self) -> None:
        self._held = np.zeros(0, np.int16)
        self._first = 0  # place of the first held sample

    def add(self, samples: np.ndarray) -> None:
        self._held = np.concatenate([self._held, samples])

    def within(self, start: float, end: float) -> np.ndarray:
        """Return the patches whose centres lie in [start, end) seconds, (count, 96, 64); later calls are for later times.

        Patches that the clip's sound fills are taken; should there be none, the first ends in silence.
        """
        half = sound.PATCH_SAMPLES // 2
        low, high = round(start * RATE), round(end * RATE)
        first = max(0, -(-(low - half) // sound.HOP_SAMPLES))
        places = [k * sound.HOP_SAMPLES for k in range(first, first + 4) if k * sound.HOP_SAMPLES + half < high]
        places = places or [first * sound.HOP_SAMPLES]
        total = self._first + self._held.size
        places = [place for place in places if place + sound.PATCH_SAMPLES <= total] or places[:1]
        begin = places[0] - self._first
        whole = self._held[begin : places[-1] + sound.PATCH_SAMPLES - self._first]
        found = sound.patches(whole)
        self._held, self._first = self._held[begin:], places[0]
        return found
