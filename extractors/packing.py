"""Shards of features -> one file of averages, and one file of all steps for methods that ask for sequences."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
import pandas as pd

from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.contracts.mapped import PIECE, give_back, in_pieces, map_arrays, verify_arrays, write_in_pieces
from avzsl.contracts.schemas import FEATURES
from avzsl.contracts.streams import Stream, map_streams
from avzsl.contracts.tables import read_table, write_table
from avzsl.contracts.vocabulary import MODALITIES


def pack(shards: Sequence[tuple[Path, Path]], arrays: Path, manifest: Path) -> None:
    """Average every clip's steps and write all shards' clips to one pair of files.

    `shards`: (arrays, manifest) of each shard, in any order; the pack's rows follow it. An average is the plain mean of
    all of a clip's steps of a modality, in float32 (the released code's, without normalisation). The pack's `row` is in
    the pack; clips without features keep their row of the table with -1.

    Raises DataError if a shard's files disagree with each other, a clip is in two shards, or shards were made by
    different extractors or weights.
    """
    tables: list[pd.DataFrame] = []
    clip_ids: list[str] = []
    hashes: dict[str, str] = {}
    extractor: dict[str, Any] | None = None
    with contextlib.ExitStack() as stack:
        # Averages wait in files without a name: what is killed leaves nothing behind.
        arrays.parent.mkdir(parents=True, exist_ok=True)
        held = {name: stack.enter_context(TemporaryFile(dir=arrays.parent)) for name in MODALITIES}
        widths: dict[str, int] = {}
        for shard_arrays, shard_manifest in shards:
            verify_arrays(shard_arrays)
            streams, header = map_streams(shard_arrays)
            table = read_table(shard_manifest, FEATURES)
            _check_shard(shard_arrays, streams, header, table)
            if extractor is None:
                extractor = header["extractor"]
            elif header["extractor"] != extractor:
                raise DataError(
                    shard_arrays,
                    f"was extracted with {header['extractor']}, the other shards with {extractor}; delete it and run again",
                )
            for name, stream in streams.items():
                width = stream.values.shape[1]
                if widths.setdefault(name, width) != width:
                    raise DataError(
                        shard_arrays,
                        f"holds {name} features of {width} columns, an earlier shard of {widths[name]}; extract them again",
                    )
                for rows in averages(stream.values, stream.offsets):
                    held[name].write(rows.data)
            table["row"] = table["row"].where(table["row"] < 0, table["row"] + len(clip_ids))
            clip_ids += header["clip_ids"]
            tables.append(table)
            hashes[Path(shard_arrays).name] = sha256_file(shard_arrays)
        if extractor is None:
            raise DataError(arrays, "there is no shard to pack")
        write_in_pieces(
            arrays,
            {name: ("float32", (len(clip_ids), widths[name])) for name in MODALITIES},
            {name: _rows(held[name], len(clip_ids), widths[name]) for name in MODALITIES},
            {"clip_ids": clip_ids, "extractor": extractor, "sha256": hashes},
        )
    write_table(manifest, pd.concat(tables, ignore_index=True), FEATURES)


def averages(steps: np.ndarray, offsets: np.ndarray) -> Iterator[np.ndarray]:
    """Yield each clip's mean, some clips at a time: (steps, dim), offsets (clips + 1) -> float32 (some, dim)."""
    width, clips = steps.shape[1], len(offsets) - 1
    begin = 0
    while begin < clips:
        # As many clips as a piece of steps holds, at least one.
        room = offsets[begin] + PIECE // max(width * 4, 1)
        end = max(begin + 1, int(np.searchsorted(offsets, room, side="right")) - 1)
        yield average(np.asarray(steps[offsets[begin] : offsets[end]]), offsets[begin : end + 1] - offsets[begin])
        give_back(steps)
        begin = end


def average(steps: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return each clip's mean: (steps, dim) and offsets (clips + 1) -> float32 (clips, dim)."""
    if not steps.shape[1]:  # the features lack this modality
        return np.zeros((len(offsets) - 1, 0), np.float32)
    means = [steps[start:end].mean(axis=0, dtype=np.float32) for start, end in itertools.pairwise(offsets)]
    return np.stack(means) if means else np.zeros((0, steps.shape[1]), np.float32)


def _rows(held: IO[bytes], count: int, width: int) -> Iterator[np.ndarray]:
    """Yield `count` rows of float32 that were written to a file, a piece at a time."""
    held.seek(0)
    if not width:  # the features lack this modality
        yield np.zeros((count, 0), np.float32)
        return
    while data := held.read(max(1, PIECE // (width * 4)) * width * 4):
        yield np.frombuffer(data, np.float32).reshape(-1, width)


def pack_steps(shards: Sequence[Path], pack: Path, out: Path) -> None:
    """Write the steps of all clips of a pack to one file of streams, whose rows are the pack's.

    `shards` are the arrays that `pack` was made of. They are copied piece by piece: memory does not grow with their
    number or width, and nothing is padded. Raises DataError if a shard is not the one that the pack was made of.
    """
    verify_arrays(pack)
    _, header = map_arrays(pack)
    parts: list[dict[str, Stream]] = []
    clip_ids: list[str] = []
    for path in shards:
        if sha256_file(path) != header["sha256"].get(path.name):
            raise DataError(path, f"has changed since {pack} was made of it; delete {pack} and run again")
        streams, own = map_streams(path)
        parts.append(streams)
        clip_ids += own["clip_ids"]
    if clip_ids != header["clip_ids"]:
        raise DataError(pack, "was made of other shards than these, or in another order; delete it and run again")
    layout: dict[str, tuple[str, tuple[int, ...]]] = {}
    pieces: dict[str, Iterator[np.ndarray]] = {}
    for name in MODALITIES:
        held = [part[name] for part in parts]
        steps = sum(len(stream.values) for stream in held)
        kinds = {stream.values.dtype.name for stream in held if len(stream.values)} or {"float32"}
        widths = {stream.values.shape[1] for stream in held}
        if len(kinds) > 1 or len(widths) > 1:
            raise DataError(
                pack,
                f"its shards hold {name} features of {sorted(widths)} columns as {sorted(kinds)}; extract them again",
            )
        layout[name] = (kinds.pop(), (steps, widths.pop()))
        layout[f"{name}_offsets"] = ("int64", (len(header["clip_ids"]) + 1,))
        layout[f"{name}_times"] = ("float64", (steps, 2))
        lengths = np.concatenate([stream.lengths for stream in held])
        pieces[name] = _values(shards, name)
        pieces[f"{name}_offsets"] = iter([np.cumsum([0, *lengths], dtype=np.int64)])
        pieces[f"{name}_times"] = iter([np.concatenate([stream.times for stream in held])])
    write_in_pieces(out, layout, pieces, {key: header[key] for key in ("clip_ids", "extractor", "sha256")})


def shards_of(folder: Path) -> list[Path]:
    """Return the arrays that the pack in the folder of a feature set was made of, in its order."""
    imported = folder / "imported.safetensors"
    return [imported] if imported.is_file() else sorted((folder / "shards").glob("*.safetensors"))


def _values(shards: Sequence[Path], name: str) -> Iterator[np.ndarray]:
    """Yield the values of one modality of all shards, a piece at a time; each map is dropped before the next is made."""
    for path in shards:
        yield from in_pieces(map_streams(path)[0][name].values, PIECE)


def _check_shard(path: Path, streams: dict[str, Stream], header: dict[str, Any], table: pd.DataFrame) -> None:
    ids = header["clip_ids"]
    there = table[table["row"] >= 0].sort_values("row")
    if list(there["clip_id"]) != ids:
        raise DataError(path, "its clips are not those of its table; delete both files and run again")
    for name, stream in streams.items():
        if stream.values.shape[1] and not (stream.lengths > 0).all():
            clip = ids[int(np.argmin(stream.lengths))]
            raise DataError(path, f"holds no {name} step of clip {clip!r}; delete both files and run again")
