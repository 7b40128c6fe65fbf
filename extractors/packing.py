"""Shards of per-window features -> one file of averages."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avzsl.contracts.arrays import read_arrays, write_arrays
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.contracts.schemas import FEATURES
from avzsl.contracts.tables import read_table, write_table

MODALITIES = ("audio", "visual")


def pack(shards: Sequence[tuple[Path, Path]], arrays: Path, manifest: Path) -> None:
    """Average every clip's windows and write all shards' clips to one pair of files.

    `shards`: (arrays, manifest) of each shard, in any order; the pack's rows follow it. An average is the plain mean of
    a clip's windows in float32 (the released code's, without normalisation). The pack's `row` is in the pack; clips
    without features keep their row of the table with -1.

    Raises DataError if a shard's files disagree with each other, a clip is in two shards, or shards were made by
    different extractors or weights.
    """
    averages: dict[str, list[np.ndarray]] = {name: [] for name in MODALITIES}
    tables: list[pd.DataFrame] = []
    clip_ids: list[str] = []
    hashes: dict[str, str] = {}
    extractor: dict[str, Any] | None = None
    for shard_arrays, shard_manifest in shards:
        values, header = read_arrays(shard_arrays)
        table = read_table(shard_manifest, FEATURES)
        _check_shard(shard_arrays, values, header, table)
        if extractor is None:
            extractor = header["extractor"]
        elif header["extractor"] != extractor:
            raise DataError(
                shard_arrays,
                f"was extracted with {header['extractor']}, the other shards with {extractor}; delete it and run again",
            )
        for name in MODALITIES:
            averages[name].append(average(values[name], values["offsets"]))
        table["row"] = table["row"].where(table["row"] < 0, table["row"] + len(clip_ids))
        clip_ids += header["clip_ids"]
        tables.append(table)
        hashes[Path(shard_arrays).name] = sha256_file(shard_arrays)
    if extractor is None:
        raise DataError(arrays, "there is no shard to pack")
    packed = {name: np.concatenate(rows) for name, rows in averages.items()}
    write_arrays(arrays, packed, {"clip_ids": clip_ids, "extractor": extractor, "sha256": hashes})
    write_table(manifest, pd.concat(tables, ignore_index=True), FEATURES)


def average(windows: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return each clip's mean: float32 (windows, dim) and offsets (clips + 1) -> float32 (clips, dim)."""
    means = [windows[start:end].mean(axis=0, dtype=np.float32) for start, end in itertools.pairwise(offsets)]
    return np.stack(means) if means else np.zeros((0, windows.shape[1]), np.float32)


def _check_shard(path: Path, values: dict[str, np.ndarray], header: dict[str, Any], table: pd.DataFrame) -> None:
    ids = header.get("clip_ids")
    if ids is None or {"audio", "visual", "offsets", "times"} - set(values):
        raise DataError(path, "is not a shard of features; delete it and run again")
    there = table[table["row"] >= 0].sort_values("row")
    if list(there["clip_id"]) != ids or len(values["offsets"]) != len(ids) + 1:
        raise DataError(path, "its clips are not those of its table; delete both files and run again")
    if len(ids) and not (np.diff(values["offsets"]) > 0).all():
        raise DataError(path, "holds a clip without windows; delete both files and run again")
