"""The log-mel spectrogram of VGGish and of YAMNet, which differ in the offset alone.

Frames of 25 ms every 10 ms under a periodic Hann window, magnitudes of a 512-point spectrum, 64 mel bands from 125 to 7500 Hz,
log(x + offset) (Hershey et al., ICASSP 2017, and the features.py of both). The triangles are linear in mel; librosa's and
torchaudio's are linear in Hz, and other numbers.
"""

from __future__ import annotations

from functools import cache

import numpy as np

RATE = 16000
FRAME, STEP, FFT = 400, 160, 512
BANDS, LOW_HZ, HIGH_HZ = 64, 125.0, 7500.0


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


def log_mel(samples: np.ndarray, offset: float) -> np.ndarray:
    """Return the log-mel frames of 16-kHz samples (n,) of -1 ... 1, n >= 400: float64 (1 + (n - 400) // 160, 64)."""
    framed = np.lib.stride_tricks.sliding_window_view(np.asarray(samples, np.float64), FRAME)[::STEP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)
    return np.log(np.abs(np.fft.rfft(framed * window, FFT)) @ mel_matrix() + offset)
