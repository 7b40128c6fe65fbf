"""YAMNet's front end: 16 kHz sound -> log-mel patches of 0.96 s every 0.48 s.

Frames of 25 ms every 10 ms under a periodic Hann window, magnitudes of a 512-point spectrum, 64 mel bands from 125 to 7500 Hz,
log(x + 0.001) (Hershey et al., ICASSP 2017, and YAMNet's features.py). The triangles are linear in mel; librosa's and
torchaudio's are linear in Hz, and other numbers.
"""

from __future__ import annotations

from functools import cache

import numpy as np

RATE = 16000
FRAME, STEP, FFT = 400, 160, 512
BANDS, LOW_HZ, HIGH_HZ = 64, 125.0, 7500.0
OFFSET = 0.001
PATCH, HOP = 96, 48  # frames
PATCH_SAMPLES = (PATCH - 1) * STEP + FRAME  # 15,600
HOP_SAMPLES = HOP * STEP  # 7,680


@cache
def mel_matrix() -> np.ndarray:
    """Return the weights of the spectrum's bins in each band, float64 (257, 64); bin 0 belongs to none."""

    def mel(hz: np.ndarray | float) -> np.ndarray:
        return 1127.0 * np.log1p(np.asarray(hz) / 700.0)

    bins = mel(np.arange(FFT // 2 + 1) * RATE / FFT)[:, None]
    edges = np.linspace(mel(LOW_HZ), mel(HIGH_HZ), BANDS + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    matrix = np.maximum(0.0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    matrix[0] = 0.0
    matrix.setflags(write=False)
    return matrix


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Return the log-mel frames of int16 samples (n,), n >= 400: float32 (1 + (n - 400) // 160, 64)."""
    framed = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64) / 32768.0, FRAME)[::STEP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    return np.log(np.abs(np.fft.rfft(framed * window, FFT)) @ mel_matrix() + OFFSET).astype(np.float32)


def patches(samples: np.ndarray) -> np.ndarray:
    """Return the whole patches of int16 samples: float32 (count, 96, 64); fewer than 15,600 samples end in silence."""
    if samples.size < PATCH_SAMPLES:
        samples = np.pad(samples, (0, PATCH_SAMPLES - samples.size))
    frames = log_mel(samples)
    return np.stack([frames[start : start + PATCH] for start in range(0, len(frames) - PATCH + 1, HOP)])
