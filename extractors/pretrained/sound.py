"""YAMNet's front end: 16 kHz sound -> log-mel patches of 0.96 s every 0.48 s."""

from __future__ import annotations

import numpy as np

from extractors.log_mel import FRAME, STEP, log_mel

OFFSET = 0.001
PATCH, HOP = 96, 48  # frames
PATCH_SAMPLES = (PATCH - 1) * STEP + FRAME  # 15,600
HOP_SAMPLES = HOP * STEP  # 7,680


def patches(samples: np.ndarray) -> np.ndarray:
    """Return the whole patches of int16 samples: float32 (count, 96, 64); fewer than 15,600 samples end in silence."""
    if samples.size < PATCH_SAMPLES:
        samples = np.pad(samples, (0, PATCH_SAMPLES - samples.size))
    frames = log_mel(samples / 32768.0, OFFSET).astype(np.float32)
    return np.stack([frames[start : start + PATCH] for start in range(0, len(frames) - PATCH + 1, HOP)])
