"""Read the released class embeddings: `.npy` files that hold a pickled dictionary phrase -> vector.

A pickle can run anything when it is loaded. The files need three names of numpy, and here those stand for three small
classes of this module, so that a file can build dictionaries, strings and plain arrays and nothing else.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.contracts.errors import DataError

MAX_BYTES = 1 << 30


class _Dtype:
    """Stands for numpy.dtype: remembers the code, `f4` for float32, and the byte order."""

    def __init__(self, code: str, *flags: object) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Array:
    """Stands for numpy.ndarray: a shape, a type and bytes, or a list of objects."""

    shape: tuple[int, ...] = ()
    dtype: Any = None
    data: Any = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, _, self.data = state


def _reconstruct(kind: object, shape: object, code: object) -> _Array:
    return _Array()


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}


# The implementation in Python: the one in C allocates whatever memory a memo index in the file asks for.
class _Restricted(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it wants to load {module}.{name}, which no table of vectors needs") from None


def read_released(path: Path) -> dict[str, np.ndarray]:
    """Return the vectors, (dim,) float32, of a released `.npy` file by phrase.

    Nothing of the file can execute (see above). Raises DataError if it is not such a file, or holds anything else than
    finite vectors of one length.
    """
    if path.stat().st_size > MAX_BYTES:
        raise DataError(path, f"has more than {MAX_BYTES} bytes; a table of class embeddings is smaller")
    stream = io.BytesIO(path.read_bytes())
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read_header(stream)
        if shape != () or dtype != np.dtype(object):
            raise DataError(
                path, f"holds an array of shape {shape} and type {dtype}, not a dictionary phrase -> vector"
            )
        outer = _Restricted(stream).load()
        table = outer.data[0]
        items = list(table.items())
    except DataError:
        raise
    # A hostile stream makes the unpickler raise anything.
    except Exception as error:
        raise DataError(
            path, f"is not a released table of class embeddings: {type(error).__name__}: {error}"
        ) from error
    vectors = {_phrase(path, key): _vector(path, key, value) for key, value in items}
    if not vectors or len({len(vector) for vector in vectors.values()}) != 1:
        raise DataError(path, "holds no vectors, or vectors of different lengths")
    return vectors


def _phrase(path: Path, key: object) -> str:
    if not isinstance(key, str):
        raise DataError(path, f"the key {key!r} is no phrase")
    return key


def _vector(path: Path, key: object, value: object) -> np.ndarray:
    if isinstance(value, _Array) and isinstance(value.dtype, _Dtype) and isinstance(value.data, bytes):
        code, order = value.dtype.code, value.dtype.order
        if code in {"f4", "f8"} and order in {"<", ">", "="} and len(value.data) % int(code[1]) == 0:
            vector = np.frombuffer(value.data, f"{order}{code}").astype(np.float32)
            if value.shape == vector.shape and np.isfinite(vector).all():
                return vector
    raise DataError(path, f"the value of {key!r} is not a vector of finite floating-point numbers")
