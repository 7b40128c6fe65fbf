"""The sound of a demo clip: six sources with different spectra and envelopes.

Gain, pitch, tempo, phase and background noise vary from clip to clip and carry no information.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Wave = np.ndarray  # (samples,) float64


def _since_strike(t: Wave, rate: float) -> Wave:
    """Seconds since the last of `rate` strikes a second."""
    return np.mod(t * rate, 1) / rate


def _bell(t: Wave, pitch: float, tempo: float, rng: np.random.Generator) -> Wave:
    since = _since_strike(t, 2.5 * tempo)
    partials = ((1.0, 1.0, 5), (2.0, 0.6, 7), (2.76, 0.8, 8), (5.4, 0.5, 11), (8.9, 0.3, 15))
    return np.sum(
        [a * np.exp(-decay * since) * np.sin(2 * np.pi * 620 * pitch * f * t) for f, a, decay in partials], axis=0
    )


def _siren(t: Wave, pitch: float, tempo: float, rng: np.random.Generator) -> Wave:
    # Frequency swings between 600 and 1,600 Hz; the phase is its integral.
    swing = 1.6 * tempo
    phase = 2 * np.pi * (1100 * pitch * t - 500 * pitch * np.cos(2 * np.pi * swing * t) / (2 * np.pi * swing))
    return np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.35 * np.sin(3 * phase)


def _rain(t: Wave, pitch: float, tempo: float, rng: np.random.Generator) -> Wave:
    return np.diff(rng.normal(size=len(t) + 1))  # differencing lifts the high frequencies


def _engine(t: Wave, pitch: float, tempo: float, rng: np.random.Generator) -> Wave:
    turns = np.mod(70 * pitch * t, 1)
    pulses = np.exp(-12 * turns) - 0.08
    return pulses + 0.05 * np.convolve(rng.normal(size=len(t)), np.ones(24) / 5, "same")


def _insect(t: Wave, pitch: float, tempo: float, rng: np.random.Generator) -> Wave:
    chirp = (np.mod(t * 3 * tempo, 1) < 0.5) * np.clip(np.sin(2 * np.pi * 32 * tempo * t), 0, None)
    return chirp * (np.sin(2 * np.pi * 4600 * pitch * t) + 0.3 * np.sin(2 * np.pi * 9200 * pitch * t))


def _clock(t: Wave, pitch: float, tempo: float, rng: np.random.Generator) -> Wave:
    since = _since_strike(t, 4.5 * tempo)
    stroke = np.exp(-14 * since) * np.sin(2 * np.pi * 85 * pitch * (since + 0.02 * np.exp(-40 * since)))
    return stroke + 0.25 * np.exp(-60 * since) * rng.normal(size=len(t))


SOUND_SOURCES: dict[str, Callable[[Wave, float, float, np.random.Generator], Wave]] = {
    "bell": _bell, "siren": _siren, "rain": _rain, "engine": _engine, "insect": _insect, "clock": _clock,
}  # fmt: skip


def play(sound: str, samples: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Return the sound of one clip, (samples,) float32 mono within -1..1."""
    pitch, tempo = 2 ** rng.uniform(-0.12, 0.12), rng.uniform(0.9, 1.1)
    t = np.arange(samples) / rate + rng.uniform(0, 10)
    wave = SOUND_SOURCES[sound](t, pitch, tempo, rng)
    wave = wave / max(float(np.sqrt(np.mean(wave**2))), 1e-9)
    gain, noise = 10 ** (rng.uniform(-3, 3) / 20), 10 ** (rng.uniform(-44, -36) / 20)
    return np.clip(0.12 * gain * (wave + noise * rng.normal(size=samples)), -1, 1).astype(np.float32)
