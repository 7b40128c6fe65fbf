"""The spectrogram of a preview, by NumPy alone.

Frames, window, mel bands and decibels are those of librosa's defaults (Slaney's Auditory Toolbox), whose import and first
compilation would take longer than all previews of a page.
"""

from __future__ import annotations

from functools import cache

import numpy as np

RATE = 16_000
FFT, STEP = 1024, 256
MELS = 48
# Decibels between black and white.
RANGE_DB = 80

# Slaney's scale: linear up to here, logarithmic above, with as many mels to each factor of 6.4.
_LINEAR_HZ, _HZ_A_MEL = 1000.0, 200.0 / 3
_LOG_STEP = np.log(6.4) / 27


def log_mel(sound: np.ndarray) -> np.ndarray:
    """Return the log-mel spectrogram of mono int16 samples (n,) at RATE, float64 (MELS, 1 + n // STEP).

    0 is RANGE_DB or more below the loudest, 1 the loudest; low frequencies come first.
    """
    padded = np.pad(sound.astype(np.float64) / 32768, FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::STEP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)
    spectrum = np.fft.rfft(frames * window)
    power = _bands() @ (spectrum.real**2 + spectrum.imag**2).T
    reference = max(float(power.max()), 1e-10)
    decibel = 10 * np.log10(np.maximum(power, 1e-10) / reference)
    return np.clip(decibel / RANGE_DB + 1, 0, 1)


@cache
def _bands() -> np.ndarray:
    """Return the weight of each bin of the spectrum in each band, (MELS, FFT // 2 + 1): triangles in Hz of equal area."""
    bins = np.arange(FFT // 2 + 1) * RATE / FFT
    edges = _hertz(np.linspace(0, float(_mels(RATE / 2)), MELS + 2))[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    triangles = np.maximum(0, np.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)))
    return triangles * 2 / (high - low)


def _mels(hertz: float) -> float:
    if hertz < _LINEAR_HZ:
        return hertz / _HZ_A_MEL
    return _LINEAR_HZ / _HZ_A_MEL + float(np.log(hertz / _LINEAR_HZ)) / _LOG_STEP


def _hertz(mels: np.ndarray) -> np.ndarray:
    bend = _LINEAR_HZ / _HZ_A_MEL
    return np.where(mels < bend, mels * _HZ_A_MEL, _LINEAR_HZ * np.exp(_LOG_STEP * (mels - bend)))
