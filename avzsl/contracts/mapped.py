"""Arrays larger than memory: written piece by piece, read through a memory map. The same file that `arrays.py` reads."""

from __future__ import annotations

import hashlib
import json
import math
import mmap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from avzsl.contracts.atomic import replacing
from avzsl.contracts.errors import CorruptError, DataError

# safetensors' names of the types that we write.
_NAMES = {"float64": "F64", "float32": "F32", "float16": "F16", "int64": "I64"}
_TYPES = {name: np.dtype(kind) for kind, name in _NAMES.items()}
# A header holds the ids of all clips; one longer than this is no file of ours.
_LONGEST_HEADER = 1 << 28
_NO_CHECKSUM = "0" * 64
# Bytes of a mapped array looked at before its pages are given back: they count as this process's memory.
PIECE = 32 << 20
# Rows here and there that are read before: the system maps up to a megabyte around each.
SCATTERED = 64

Shape = tuple[int, ...]


def write_in_pieces(
    path: str | Path,
    layout: Mapping[str, tuple[str, Shape]],
    pieces: Mapping[str, Iterable[np.ndarray]],
    header: dict[str, Any],
) -> str:
    """Write arrays whose rows come piece by piece, in one step and in the memory of one piece; return the checksum.

    `layout` gives each array's type and shape, `pieces` its rows in order. The file is a safetensors file with the
    header and checksum of `write_arrays`, and equal content gives equal bytes.
    Raises DataError if the pieces do not add up to the layout.
    """
    names = sorted(layout)
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode("utf-8"))
    with replacing(path) as temporary, temporary.open("wb") as stream:
        place = _write_header(stream, layout, names, header)
        for name in names:
            kind, shape = np.dtype(layout[name][0]), layout[name][1]
            digest.update(f"\n{name} {kind.str} {shape}\n".encode())
            written = 0
            for piece in pieces[name]:
                if piece.dtype != kind or piece.shape[1:] != shape[1:]:
                    raise DataError(
                        path, f"{name} is {kind.name} {shape[1:]}, but a piece is {piece.dtype.name} {piece.shape[1:]}"
                    )
                data = np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data
                digest.update(data)
                stream.write(data)
                written += len(piece)
            if written != shape[0]:
                raise DataError(path, f"{name} has {written} rows where {shape[0]} were announced")
        checksum = digest.hexdigest()
        stream.seek(place)
        stream.write(checksum.encode())
    return checksum


def _write_header(
    stream: BinaryIO, layout: Mapping[str, tuple[str, Shape]], names: list[str], header: dict[str, Any]
) -> int:
    """Write the header with an empty checksum and return where the checksum goes."""
    text = json.dumps({**header, "checksum": _NO_CHECKSUM}, sort_keys=True)
    table: dict[str, Any] = {"__metadata__": {"avzsl": text}}
    end = 0
    for name in names:
        kind, shape = layout[name]
        begin, end = end, end + np.dtype(kind).itemsize * math.prod(shape)
        table[name] = {"dtype": _NAMES[kind], "shape": list(shape), "data_offsets": [begin, end]}
    data = json.dumps(table).encode("utf-8")
    data += b" " * (-len(data) % 8)
    stream.write(len(data).to_bytes(8, "little") + data)
    # The key is quoted twice: JSON inside a JSON string. No clip id can hold the same bytes, since its quotes are escaped once more.
    return 8 + data.index(b'\\"checksum\\": \\"' + _NO_CHECKSUM.encode()) + len(b'\\"checksum\\": \\"')


def map_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the arrays of a file of ours without reading them, and its header with the `checksum` it was written with.

    The arrays are views of the file; what is written into one stays in this process. Nothing is verified but the
    structure: `read_arrays` compares the checksum.
    Raises DataError if there is no such file, CorruptError if it is cut short or no file of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(path, "does not exist")
    broken = CorruptError(path, "is not a whole file of features; delete it and run again")
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > _LONGEST_HEADER:
                raise broken
            table = json.loads(stream.read(length))
            size = stream.seek(0, 2)
        header: dict[str, Any] = json.loads(table.pop("__metadata__")["avzsl"])
        arrays = {}
        for name, entry in table.items():
            kind, shape = _TYPES[entry["dtype"]], tuple(int(n) for n in entry["shape"])
            begin = 8 + length + int(entry["data_offsets"][0])
            if min(shape, default=0) < 0 or begin + kind.itemsize * math.prod(shape) > size:
                raise broken
            arrays[name] = np.memmap(path, kind, "c", begin, shape) if math.prod(shape) else np.zeros(shape, kind)
    except (ValueError, KeyError, TypeError) as error:
        raise broken from error
    except OSError as error:
        raise DataError(path, f"cannot be read ({error})") from error
    return arrays, header


def in_pieces(array: np.ndarray, size: int = PIECE) -> Iterator[np.ndarray]:
    """Yield the rows of an array, `size` bytes or a row at a time; of a mapped one no more than that stays in memory."""
    rows = max(1, size // max(array[:1].nbytes, 1))
    for start in range(0, len(array), rows):
        yield np.asarray(array[start : start + rows])
        give_back(array)


def rows_in_blocks(array: np.ndarray, rows: np.ndarray, size: int = PIECE) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield places in `rows` and the array's rows there, `size` bytes at a time; see `in_pieces`."""
    some = max(1, size // max(array[:1].nbytes, 1))
    for start in range(0, len(rows), some):
        place = slice(start, start + some)
        yield place, np.asarray(array[rows[place]])
        give_back(array)


def scattered_rows(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the array's rows at `rows`, wherever they lie; of a mapped one little else stays in memory."""
    found = np.empty((len(rows), *array.shape[1:]), array.dtype)
    for start in range(0, len(rows), SCATTERED):
        place = slice(start, start + SCATTERED)
        found[place] = array[rows[place]]
        give_back(array)
    return found


def give_back(array: np.ndarray) -> None:
    """Give the pages of a mapped array back to the system, which reads them again where they are looked at again."""
    if isinstance(array, np.memmap):
        array._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


def verify_arrays(path: str | Path) -> None:
    """Compare a file of ours with its checksum in the memory of one piece.

    Raises DataError if there is no such file, CorruptError if it is not as it was written.
    """
    arrays, header = map_arrays(path)
    checksum = header.pop("checksum", None)
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode("utf-8"))
    for name, array in sorted(arrays.items()):
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        for piece in in_pieces(array):
            digest.update(piece.reshape(-1).view(np.uint8).data)
    if digest.hexdigest() != checksum:
        raise CorruptError(path, "has changed since it was written: its checksum is wrong; delete it and run again")
