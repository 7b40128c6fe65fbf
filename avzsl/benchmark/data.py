"""A benchmark as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.benchmark.released_rows import class_vectors
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.class_embeddings import read_embeddings
from avzsl.contracts.errors import CorruptError, DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.contracts.mapped import map_arrays
from avzsl.contracts.schemas import BENCHMARK_CLASSES, BENCHMARK_CLIPS, EXCLUDED, SUBSETS
from avzsl.contracts.streams import Stream, map_streams
from avzsl.contracts.tables import read_table
from avzsl.results.records import BenchmarkRecord, Scores, read_benchmark

TRAIN_SUBSETS = {1: ("train",), 2: ("train", "val_seen", "val_unseen")}
VALIDATION = ("val_seen", "val_unseen")
TEST = ("test_seen", "test_unseen")
# A pack of more bytes stays on the disk, and rows are read as they are asked for: 125,000 clips of 512 + 512 values fit.
HELD = 1 << 29


@dataclass(frozen=True)
class Subset:
    """Clips of one or more subsets: rows of the pack, labels as indices of `BenchmarkData.class_names`."""

    rows: np.ndarray
    labels: np.ndarray
    clip_ids: tuple[str, ...]
    subsets: tuple[str, ...]  # of each clip

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class BenchmarkData:
    """Features, classes and subsets of one benchmark.

    `audio` (clips, dim) and `visual` (clips, dim) float32 are the whole pack, once, a large one mapped from its file;
    subsets point into it.
    `vectors` (classes, dim) are the class embeddings in the order of `class_names`, which is sorted by name;
    `roles` (classes,) the role of each. Classes that were excluded are not here.
    """

    class_names: tuple[str, ...]
    roles: np.ndarray
    vectors: np.ndarray
    audio: np.ndarray
    visual: np.ndarray
    parts: dict[str, Subset]
    record: BenchmarkRecord
    # Steps of all clips of the pack, values on the disk; None where averages are enough.
    steps: dict[str, Stream] | None = None

    def subset(self, *names: str) -> Subset:
        """Return the clips of the named subsets together, in the order of the names."""
        parts = [self.parts[name] for name in names]
        return Subset(
            np.concatenate([part.rows for part in parts]),
            np.concatenate([part.labels for part in parts]),
            tuple(clip for part in parts for clip in part.clip_ids),
            tuple(name for part in parts for name in part.subsets),
        )

    def candidates(self, stage: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the candidate classes of a stage's evaluation, ascending, and which of them are seen.

        Stage 1 validates with training classes seen and val_unseen classes unseen; stage 2 is tested with both of
        these seen and test_unseen classes unseen.
        """
        seen = self.roles == "train"
        unseen = self.roles == "val_unseen"
        if stage == 2:
            seen, unseen = seen | unseen, self.roles == "test_unseen"
        members = np.flatnonzero(seen | unseen)
        return members, seen[members]

    @property
    def chance(self) -> Scores:
        return self.record.chance


def load(
    folder: Path, pack: Path, embeddings: Path, class_rows: str = "aligned", steps: Path | None = None
) -> BenchmarkData:
    """Read the benchmark that `assemble` wrote to `folder`, with its features and class embeddings.

    `class_rows` is `aligned` (each class its own vector) or `as_released` (the row order of the released loaders).
    `steps` is the file of all steps, for a method of sequences; the averages then stay on the disk too.
    Raises CorruptError if pack or embeddings are not the files that the benchmark was assembled from.
    """
    path = folder / "benchmark.json"
    record = read_benchmark(path)
    for key, file in (("features", pack), ("embeddings", embeddings)):
        if not file.is_file():
            raise DataError(file, "does not exist")
        if sha256_file(file) != getattr(record.hashes, key):
            raise CorruptError(path, f"{file} has changed since the benchmark was assembled from it; assemble it again")
    clips = read_table(folder / "clips.parquet", BENCHMARK_CLIPS, ("clip_id", "class_name", "subset", "usable", "row"))
    classes = read_table(folder / "classes.parquet", BENCHMARK_CLASSES)
    # Both were compared with their hash above.
    arrays, header = map_arrays(pack) if steps is not None or pack.stat().st_size > HELD else read_arrays(pack)
    classes = classes[classes["role"] != EXCLUDED].sort_values("class_name")
    names = tuple(classes["class_name"])
    index = {name: i for i, name in enumerate(names)}
    usable = clips[clips["usable"]]
    parts = {}
    for subset in SUBSETS:
        part = usable[usable["subset"] == subset]
        parts[subset] = Subset(
            part["row"].to_numpy(np.int64),
            part["class_name"].map(index).to_numpy(np.int64),
            tuple(part["clip_id"]),
            (subset,) * len(part),
        )
    return BenchmarkData(
        names,
        classes["role"].to_numpy(str),
        class_vectors(read_embeddings(embeddings), names, class_rows),
        arrays["audio"],
        arrays["visual"],
        parts,
        record,
        _steps(steps, pack, header) if steps is not None else None,
    )


def _steps(path: Path, pack: Path, header: dict[str, Any]) -> dict[str, Stream]:
    """Open the file of steps; raises DataError if it was not made of the same shards as the pack."""
    streams, own = map_streams(path)
    if any(own.get(key) != header.get(key) for key in ("clip_ids", "sha256")):
        raise DataError(path, f"was not made of the same shards as {pack}; delete it and run again")
    return streams
