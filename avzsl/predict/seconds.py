"""Which steps of sound and picture tell of each moment of a clip."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np


def moments(audio: np.ndarray, visual: np.ndarray) -> list[tuple[float, float]]:
    """Return start and end of the moments to score, from the `times` (steps, 2) of both modalities.

    Where both have the same steps these are the moments; else every second of the clip is one.
    """
    if np.array_equal(audio, visual):
        return [(float(start), float(end)) for start, end in audio]
    end = max(float(times[:, 1].max()) for times in (audio, visual) if len(times))
    return [(float(second), min(second + 1.0, end)) for second in range(math.ceil(end))]


def steps_of(moment: tuple[float, float], times: np.ndarray) -> np.ndarray:
    """Return which steps have their middle in a moment, or the nearest one where none has: indices, at least one."""
    middle = times.mean(axis=1)
    inside = np.flatnonzero((middle >= moment[0]) & (middle < moment[1]))
    if len(inside) or not len(times):
        return inside
    return np.array([np.argmin(np.abs(middle - sum(moment) / 2))])


def whole(audio: np.ndarray, visual: np.ndarray, most: int) -> tuple[float, float]:
    """Return the moment that stands for the clip: all of it, or its middle where it has more than `most` steps."""
    end = max(float(times[:, 1].max()) for times in (audio, visual) if len(times))
    share = min(1.0, most / max(len(audio), len(visual), 1))
    return (float("-inf"), float("inf")) if share == 1.0 else (end * (1 - share) / 2, end * (1 + share) / 2)


def means(values: np.ndarray, times: np.ndarray, wanted: list[tuple[float, float]]) -> Iterator[np.ndarray]:
    """Yield the mean step (dim,) of each moment, float32; zero width stays zero width."""
    for moment in wanted:
        rows = values[steps_of(moment, times)]
        yield rows.mean(axis=0, dtype=np.float32) if len(rows) else np.zeros(values.shape[1], np.float32)
