"""An extractor for tests: a file's text says what decoding it does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from avzsl.config.features import ExtractorOptions
from extractors.base import ClipError, ClipInfo, Features, Window, pictures, sounds


class Options(ExtractorOptions):
    """Nothing to choose."""


def read(path: Path, options: Options, info: ClipInfo) -> Iterator[Window]:
    """Obey the file: `windows N [SECONDS each]`, `apart A V`, `crash AFTER`, `hang`, `memory`, `error`, `noise`."""
    words = path.read_text(encoding="utf-8").split()
    info.fps = 25.0
    if words[0] == "windows":
        for k in range(int(words[1])):
            if len(words) > 2:
                time.sleep(float(words[2]))
            yield Window(
                float(k), k + 1.0, np.full((1, 2), k, np.float32), np.full((3,), len(words[0]) + k, np.float32)
            )
    elif words[0] == "apart":
        # `apart A V [STEP of the picture]`: A steps of sound of a second each, V of picture, and no pair.
        step = float(words[3]) if len(words) > 3 else 0.5
        for k in range(max(int(words[1]), int(words[2]))):
            if k < int(words[1]):
                yield Window(float(k), k + 1.0, audio=np.full((1, 2), k, np.float32))
            if k < int(words[2]):
                start = 10 + k * step
                yield Window(start, start + abs(step), visual=np.full((3,), k, np.float32))
    elif words[0] == "crash":
        for k in range(int(words[1])):
            yield Window(float(k), k + 1.0, np.zeros((1, 2), np.float32), np.zeros((3,), np.float32))
        os.kill(os.getpid(), signal.SIGSEGV)
    elif words[0] == "hang":
        time.sleep(3600)
    elif words[0] == "memory":
        np.ones(1 << 40, np.uint8)
    elif words[0] == "error":
        raise ClipError("corrupt", "said so")
    elif words[0] == "bug":
        raise RuntimeError("a mistake in the extractor")
    elif words[0] == "noise":
        os.write(1, b"a library prints")  # must not reach the pipe of messages
        yield Window(0.0, 1.0, np.zeros((1, 2), np.float32), np.zeros((3,), np.float32))


def _rows(values: list[np.ndarray], dim: int) -> np.ndarray:
    return np.stack(values) if values else np.zeros((0, dim), np.float32)


class Sums:
    """Networks that add up."""

    audio_dim, visual_dim, batch_windows = 2, 3, 4

    def __init__(self) -> None:
        self.identity = {"name": "scripted", "windows": "uniform", "weights": "none", "random_weights": False}
        self.measured: dict[str, float] = {}
        self.batches: list[int] = []
        self.events: list[str] = []

    def embed(self, windows: Sequence[Window]) -> Features:
        self.batches.append(len(windows))
        number = len(self.batches)
        features = _rows([w[0] for w in sounds(windows)], 2), _rows(pictures(windows), 3)

        def wait() -> tuple[np.ndarray, np.ndarray]:
            self.events.append(f"got {number}")
            return features

        self.events.append(f"begun {number}")
        return wait


def load(options: Options, device: str, threads: int, cache: Path) -> Sums:
    return Sums()
