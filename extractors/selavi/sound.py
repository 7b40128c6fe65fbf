"""The log filterbank of a second of sound, as python_speech_features 0.6 computes it (`logfbank`).

The released features were made with these settings: 44.1 kHz int16 samples (not scaled to [-1, 1]), frames of 20 ms every
10 ms without a window function, 257 mel filters on a 1024-point spectrum. At that resolution 54 of the 257 filters fall
between two bins and are identically zero; they are kept, because the network expects their rows.
"""

from __future__ import annotations

from functools import cache

import numpy as np

SAMPLE_RATE = 44100
FILTERS = 257
FFT_LENGTH = 1024
FRAME_LENGTH = 882  # 20 ms
FRAME_STEP = 441  # 10 ms
PREEMPHASIS = 0.97
# The mean and deviation that the released extraction normalises with.
MEAN, DEVIATION = 1.93, 17.89


@cache
def filterbank() -> np.ndarray:
    """Return the triangular mel filters, float64 (257, 513); 54 rows are zero."""
    top = 2595 * np.log10(1 + (SAMPLE_RATE / 2) / 700.0)
    mel = np.linspace(0, top, FILTERS + 2)
    edges = np.floor((FFT_LENGTH + 1) * (700 * (10 ** (mel / 2595.0) - 1)) / SAMPLE_RATE)
    filters = np.zeros((FILTERS, FFT_LENGTH // 2 + 1))
    for row in range(FILTERS):
        low, middle, high = edges[row : row + 3]
        rising = np.arange(int(low), int(middle))
        falling = np.arange(int(middle), int(high))
        filters[row, rising] = (rising - low) / (middle - low)
        filters[row, falling] = (high - falling) / (high - middle)
    filters.setflags(write=False)
    return filters


def log_filterbank(samples: np.ndarray) -> np.ndarray:
    """Return the normalised log filterbank of int16 samples (any length above 0): float32 (1, 257, frames).

    44,100 samples give 99 frames. Raises ValueError for no samples.
    """
    if samples.size == 0:
        raise ValueError("no samples")
    signal = samples.astype(np.float64)
    signal = np.append(signal[0], signal[1:] - PREEMPHASIS * signal[:-1])
    frames = 1 if signal.size <= FRAME_LENGTH else 1 + -(-(signal.size - FRAME_LENGTH) // FRAME_STEP)
    padded = np.zeros((frames - 1) * FRAME_STEP + FRAME_LENGTH)
    padded[: signal.size] = signal
    framed = np.lib.stride_tricks.sliding_window_view(padded, FRAME_LENGTH)[::FRAME_STEP]
    power = np.square(np.absolute(np.fft.rfft(framed, FFT_LENGTH))) / FFT_LENGTH
    energy = np.dot(power, filterbank().T)
    energy = np.where(energy == 0, np.finfo(float).eps, energy)
    spectrogram = np.log(energy).astype(np.float32).T[np.newaxis]
    return (np.ascontiguousarray(spectrogram) - np.float32(MEAN)) / np.float32(DEVIATION)
