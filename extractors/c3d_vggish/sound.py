"""VGGish's front end: 16-kHz sound -> log-mel examples of 0.96 s, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from extractors.base import Window
from extractors.log_mel import BANDS, FRAME, RATE, STEP, log_mel

OFFSET = 0.01
EXAMPLE = 96  # frames
SECONDS = 0.96
EXAMPLE_SAMPLES, HOP_SAMPLES = (EXAMPLE - 1) * STEP + FRAME, EXAMPLE * STEP  # 15,600 and 15,360


def examples(samples: np.ndarray) -> np.ndarray:
    """Return the whole examples of mono samples (n,) of -1 ... 1: float64 (count, 96, 64).

    What is left at the end is dropped: the first example needs 15,600 samples, each further one 15,360.
    """
    if samples.size < FRAME:
        return np.zeros((0, EXAMPLE, BANDS))
    count = (1 + (samples.size - FRAME) // STEP) // EXAMPLE
    return log_mel(samples, OFFSET)[: count * EXAMPLE].reshape(count, EXAMPLE, BANDS)


class Examples:
    """Cuts a sound into examples as it comes; little more than one is held."""

    def __init__(self) -> None:
        self._held = np.zeros(0, np.float32)
        self._done = 0

    def add(self, samples: np.ndarray) -> Iterator[Window]:
        """Yield the examples that are whole now, float32 (96, 64)."""
        self._held = np.concatenate([self._held, samples])
        while self._held.size >= EXAMPLE_SAMPLES:
            yield self._window(self._held[:EXAMPLE_SAMPLES], SECONDS)

    def rest(self) -> Iterator[Window]:
        """Yield what a sound shorter than an example has, if that is half a second or more, silence behind it."""
        if not self._done and self._held.size >= RATE // 2:
            whole = np.pad(self._held, (0, EXAMPLE_SAMPLES - self._held.size))
            yield self._window(whole, self._held.size / RATE)

    def _window(self, samples: np.ndarray, seconds: float) -> Window:
        start, self._done = self._done * SECONDS, self._done + 1
        self._held = self._held[HOP_SAMPLES:]
        return Window(start, start + seconds, audio=examples(samples)[0].astype(np.float32))
