"""A small benchmark that has both averages and steps."""

from __future__ import annotations

from pathlib import Path

from avzsl.benchmark import assemble
from avzsl.benchmark.synthetic import SyntheticFiles, small, write
from avzsl.benchmark.synthetic_steps import write_steps


def write_toy(folder: Path, noise: float, dims: tuple[int, int]) -> tuple[Path, SyntheticFiles, Path]:
    """Write it and return its folder, what it was made of, and the file of its steps."""
    counts, vectors = small((10, 4, 4), dim=20)
    files = write(folder / "in", counts, vectors, noise=noise, dims=dims)
    steps = write_steps(files, {"audio": (1, 9), "visual": (3, 14)}, step_seconds=(0.96, 0.64))
    assemble(files.split, files.pack, [], files.embeddings, folder / "benchmark")
    return folder / "benchmark", files, steps
