"""Small networks of seeded random weights on every second: a spectrum for the sound, a shrunk picture. Trained on nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.config.features import ExtractorOptions
from extractors.base import ClipInfo, Features, Window, pictures, sounds
from extractors.seconds import read_uniform_seconds

RATE, BANDS, PIXELS, DIM = 16000, 64, 8, 48


class Options(ExtractorOptions):
    """Nothing to choose."""


def read(path: Path, options: Options, info: ClipInfo) -> Iterator[Window]:
    def shrink(frame: Any) -> np.ndarray:
        return frame.reformat(PIXELS, PIXELS, "rgb24").to_ndarray()

    for second in read_uniform_seconds(path, info, RATE, 4, shrink):
        assert second.samples is not None
        assert second.frames is not None
        heard = np.zeros(RATE, np.float32)
        heard[: second.samples.size] = second.samples
        spectra = np.abs(np.fft.rfft(heard.reshape(-1, 400) * np.hanning(400), axis=1))[:, 1:193]
        bands = np.log(spectra.reshape(len(spectra), BANDS, 3).mean(2) + 1.0)
        yield Window(second.start, second.end, bands.astype(np.float32), second.frames.astype(np.float32) / 255)


class Networks:
    audio_dim = visual_dim = DIM
    batch_windows = 32

    def __init__(self) -> None:
        self.identity = {"name": "random", "windows": "uniform", "weights": "random, seed 0", "random_weights": True}
        self.measured: dict[str, float] = {}
        rng = np.random.default_rng(0)
        self._sound = [rng.standard_normal(shape).astype(np.float32) for shape in ((BANDS, 96), (192, DIM))]
        self._picture = rng.standard_normal((PIXELS * PIXELS * 3, DIM)).astype(np.float32)

    def embed(self, windows: Sequence[Window]) -> Features:
        heard = np.maximum((np.stack(sounds(windows)) / 10 - 0.5) @ self._sound[0] / 8, 0)
        heard = np.concatenate([heard.mean(1), heard.std(1)], axis=1)
        seen = np.stack(pictures(windows)).mean(1).reshape(len(windows), -1) - 0.5
        features = np.maximum(heard @ self._sound[1] / 8, 0), np.maximum(seen @ self._picture / 4, 0)
        return lambda: features


def load(options: Options, device: str, threads: int, cache: Path) -> Networks:
    return Networks()
