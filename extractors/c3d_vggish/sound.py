"""VGGish's front end: 16-kHz sound -> log-mel examples of 0.96 s, one after the other."""

from __future__ import annotations

import numpy as np

from extractors.log_mel import BANDS, FRAME, STEP, log_mel

OFFSET = 0.01
EXAMPLE = 96  # frames
SECONDS = 0.96


def examples(samples: np.ndarray) -> np.ndarray:
    """Return the whole examples of mono samples (n,) of -1 ... 1: float64 (count, 96, 64).

    What is left at the end is dropped: the first example needs 15,600 samples, each further one 15,360.
    """
    if samples.size < FRAME:
        return np.zeros((0, EXAMPLE, BANDS))
    count = (1 + (samples.size - FRAME) // STEP) // EXAMPLE
    return log_mel(samples, OFFSET)[: count * EXAMPLE].reshape(count, EXAMPLE, BANDS)
