"""Sequences for a synthetic benchmark: every clip's steps, whose mean is the average that the pack holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.benchmark.synthetic import SyntheticFiles
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.mapped import write_in_pieces
from avzsl.contracts.vocabulary import MODALITIES

# Clips made at a time.
PIECE = 512


def write_steps(
    files: SyntheticFiles,
    lengths: dict[str, tuple[int, int]],
    *,
    step_seconds: tuple[float, float] = (1.0, 1.0),
    dtype: str = "float32",
    noise: float = 0.5,
    seed: int = 0,
) -> Path:
    """Write the steps of a synthetic benchmark beside its pack, and return the file.

    A clip has `lengths[modality]` steps, uniform from the first to the second number with both ends, each of
    `step_seconds` (audio, visual); they are the clip's average plus noise that has mean zero over the clip.
    """
    averages, header = read_arrays(files.pack[0])
    clips = len(header["clip_ids"])
    layout: dict[str, tuple[str, tuple[int, ...]]] = {}
    pieces: dict[str, Iterator[np.ndarray]] = {}
    for number, name in enumerate(MODALITIES):
        rng = np.random.default_rng([seed, number])
        low, high = lengths[name]
        offsets = np.cumsum([0, *rng.integers(low, high + 1, clips)], dtype=np.int64)
        place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))
        times = np.stack([place, place + 1], axis=1) * step_seconds[number]
        layout |= {
            name: (dtype, (int(offsets[-1]), averages[name].shape[1])),
            f"{name}_offsets": ("int64", offsets.shape),
            f"{name}_times": ("float64", times.shape),
        }
        pieces |= {
            name: _values(averages[name], offsets, noise, dtype, np.random.default_rng([seed, number, 1])),
            f"{name}_offsets": iter([offsets]),
            f"{name}_times": iter([times]),
        }
    path = files.pack[0].with_name("steps.safetensors")
    kept: dict[str, Any] = {key: header[key] for key in ("clip_ids", "extractor", "sha256") if key in header}
    write_in_pieces(path, layout, pieces, kept)
    return path


def _values(
    averages: np.ndarray, offsets: np.ndarray, noise: float, dtype: str, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    for start in range(0, len(averages), PIECE):
        part = offsets[start : start + PIECE + 1] - offsets[start]
        lengths = np.diff(part)
        drawn = rng.standard_normal((part[-1], averages.shape[1]), dtype=np.float32) * np.float32(noise)
        means = np.add.reduceat(drawn, part[:-1], axis=0) / lengths[:, None].astype(np.float32)
        yield (drawn + np.repeat(averages[start : start + PIECE] - means, lengths, axis=0)).astype(dtype)
