"""Files of named arrays that others wrote: safetensors, HDF5 or .npz, opened without executing or believing anything."""

from __future__ import annotations

import contextlib
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from safetensors import SafetensorError, safe_open

from avzsl.contracts.errors import DataError
from avzsl.contracts.sizes import believable, bomb_in

# What may be read of one array at once; a file may announce any size.
LARGEST = 4 << 30
_FAULTS = (
    OSError, ValueError, TypeError, KeyError, RuntimeError, EOFError, MemoryError, zipfile.BadZipFile, SafetensorError,
)  # fmt: skip
# Types of safetensors that NumPy has not: they become float32.
_SHORT_FLOATS = {"BF16", "F8_E4M3", "F8_E5M2"}


class _Backend(Protocol):
    def shape(self, name: str) -> tuple[int, ...] | None: ...

    def read(self, name: str, rows: slice | None) -> np.ndarray: ...


@dataclass(frozen=True)
class Arrays:
    """An open file of named arrays."""

    path: Path
    backend: _Backend

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Return an array's shape, None if the file has none of that name."""
        with self._named():
            return self.backend.shape(name)

    def read(self, name: str, rows: slice | None = None) -> np.ndarray | None:
        """Return an array or some of its rows, None if the file has none of that name; raises DataError."""
        with self._named():
            return None if self.backend.shape(name) is None else np.asarray(self.backend.read(name, rows))

    @contextlib.contextmanager
    def _named(self) -> Any:
        try:
            yield
        except _FAULTS as error:
            raise DataError(self.path, f"is not a readable file of arrays ({error})") from error


def open_arrays(path: Path, stack: contextlib.ExitStack) -> Arrays:
    """Open a file for as long as `stack` lasts; raises DataError if it is none of the three formats."""
    try:
        if path.suffix == ".safetensors":
            return Arrays(path, _Safetensors(path, stack.enter_context(safe_open(path, framework="numpy"))))
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                large = [entry.filename for entry in archive.infolist() if entry.file_size > LARGEST]
                bomb = bomb_in(archive)
            if large:
                raise DataError(path, f"array {large[0]!r} is larger than {LARGEST >> 30} GiB; write another format")
            if bomb:
                raise DataError(path, f"array {bomb!r} unpacks to more than its bytes can hold; this is refused")
            return Arrays(path, _Npz(stack.enter_context(np.load(path, allow_pickle=False))))
        return Arrays(path, _Hdf5(path, stack.enter_context(h5py.File(path, "r"))))
    except _FAULTS as error:
        raise DataError(path, f"is not a readable file of arrays ({error})") from error


class _Safetensors:
    def __init__(self, path: Path, file: Any) -> None:
        self._path, self._file = path, file
        self._names = set(file.keys())

    def shape(self, name: str) -> tuple[int, ...] | None:
        return tuple(self._file.get_slice(name).get_shape()) if name in self._names else None

    def read(self, name: str, rows: slice | None) -> np.ndarray:
        part = self._file.get_slice(name)
        _fits(self._path, name, part.get_shape(), 4, rows)
        if part.get_dtype() in _SHORT_FLOATS:
            with safe_open(self._path, framework="pt") as file:
                short = file.get_tensor(name) if rows is None else file.get_slice(name)[rows]
                return np.asarray(short.float().numpy())
        values: np.ndarray = self._file.get_tensor(name) if rows is None else part[rows]
        return values


class _Npz:
    def __init__(self, file: Any) -> None:
        self._file = file
        self._held: dict[str, np.ndarray] = {}

    def _whole(self, name: str) -> np.ndarray:
        # Each look into the archive would unpack the array again.
        if name not in self._held:
            self._held[name] = self._file[name]
        return self._held[name]

    def shape(self, name: str) -> tuple[int, ...] | None:
        return self._whole(name).shape if name in self._file.files else None

    def read(self, name: str, rows: slice | None) -> np.ndarray:
        values = self._whole(name)
        return values if rows is None else values[rows]


class _Hdf5:
    """Data sets that lie in the file itself: links and external storage could read any other file."""

    def __init__(self, path: Path, file: h5py.File) -> None:
        self._path, self._file = path, file

    def _dataset(self, name: str) -> Any:
        return own_dataset(str(self._path), self._file, name)

    def shape(self, name: str) -> tuple[int, ...] | None:
        found = self._dataset(name)
        return None if found is None else tuple(found.shape)

    def read(self, name: str, rows: slice | None) -> np.ndarray:
        found = self._dataset(name)
        _fits(self._path, name, found.shape, found.dtype.itemsize, rows)
        return np.asarray(found[()] if rows is None else found[rows])


def own_dataset(path: str, file: h5py.File, name: str) -> Any:
    """Return a data set that lies in this file, None if there is none of that name.

    Links and external storage could read any other file, and a few bytes may declare any shape: raises DataError for both.
    """
    place: Any = file
    for part in name.split("/"):
        if not isinstance(place, h5py.Group) or not isinstance(place.get(part, getlink=True), h5py.HardLink):
            return None
        place = place[part]
    if not isinstance(place, h5py.Dataset):
        return None
    if place.external or place.is_virtual:
        raise DataError(path, f"data set {name!r} points to other files; this is refused")
    # What was never written takes no room in the file, but all of it in memory.
    declared, stored = place.size * place.dtype.itemsize, place.id.get_storage_size()
    if not believable(declared, stored):
        raise DataError(path, f"data set {name!r} declares {declared} bytes and holds {stored}; this is refused")
    return place


def read_npy(path: Path) -> np.ndarray:
    """Return the array of an .npy file, which is as long as its header says; raises ValueError, OSError or EOFError."""
    # A map compares the announced size with the file's before any memory is taken.
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(mapped, np.ndarray):
        raise ValueError("an archive, not one array")
    _fits(path, "array", mapped.shape, mapped.dtype.itemsize, None)
    return np.array(mapped)


def _fits(path: Path, name: str, shape: tuple[int, ...] | list[int], itemsize: int, rows: slice | None) -> None:
    """Raise DataError where so much of an array is asked for at once that it can be no clip's."""
    count = shape[0] if rows is None and shape else 1 if rows is None else len(range(*rows.indices(shape[0])))
    if count * math.prod(shape[1:]) * itemsize > LARGEST:
        raise DataError(path, f"{name!r} is larger than {LARGEST >> 30} GiB")
