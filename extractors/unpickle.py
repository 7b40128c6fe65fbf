"""Read a pickle of features without executing anything: tensors, arrays, strings and plain containers only."""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.contracts.errors import DataError
from avzsl.runtime.seals import uses

# What the two released layouts are made of. Everything else in a pickle is refused by name.
_PLAIN = {
    ("collections", "OrderedDict"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy", "str_"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("torch._utils", "_rebuild_tensor_v2"),
}


def read_feature_pickle(file: Path | zipfile.Path) -> dict[str, Any]:
    """Return `video` and `audio`, `labels` int64 (clips) and `filenames` of a released pickle.

    `video` and `audio` are (clips, dim) for averages, and lists of (steps, dim) or (dim,) where every step was kept, as
    the released extraction of TCaF does. Both layouts are read: the list [video, labels, audio, filenames] that the released extraction writes, and the dict
    that the released splitting scripts read. Tensors of a GPU come out as arrays. Raises DataError for anything else,
    above all for a pickle that would call a function. A file in a zip archive is read there.
    """
    path, content = str(file), read_plain_pickle(file)
    if isinstance(content, list) and len(content) == 4:
        content = dict(zip(("video", "labels", "audio", "filenames"), content, strict=True))
    if not isinstance(content, dict) or {"video", "labels", "audio", "filenames"} - set(content):
        raise DataError(path, "holds neither the list nor the dict of the released features")
    try:
        out: dict[str, Any] = {name: per_clip(content[name]) for name in ("video", "audio")}
        out["labels"] = _array(content["labels"])
    except (ValueError, TypeError) as error:
        raise DataError(path, f"holds features that are no arrays ({error})") from error
    out["filenames"] = [str(name) for name in content["filenames"]]
    clips = len(out["filenames"])
    for name in ("video", "audio", "labels"):
        if len(out[name]) != clips:
            raise DataError(path, f"{name} has {len(out[name])} rows for {clips} file names")
    return out


def read_plain_pickle(file: Path | zipfile.Path) -> Any:
    """Return what a pickle of plain containers, arrays and tensors holds; DataError for any other, and nothing is executed."""
    path = str(file)
    if isinstance(file, Path):
        uses(file)
    try:
        with file.open("rb") as stream:
            return _Restricted(stream).load()
    except pickle.UnpicklingError as error:
        raise DataError(path, f"is not a pickle of features: {error}; nothing of it was executed") from error
    except Exception as error:  # a damaged pickle can fail in any way
        raise DataError(path, f"cannot be read as a pickle of features: {error}") from error


class _Restricted(pickle.Unpickler):
    """An unpickler that knows a handful of harmless constructors."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and (module, name) in _PLAIN:
            return _empty_array
        if (module, name) == ("numpy", "ndarray"):
            return _ARRAY
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _storage
        if (module, name) in _PLAIN:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


# Stands for the class, which would make an array of any size if it were called.
_ARRAY = object()


def _empty_array(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """Return the array without elements that a pickle fills with its bytes."""
    if kind is not _ARRAY or shape != (0,):
        raise pickle.UnpicklingError("it asks for an array without bytes")
    return np.ndarray((0,), code)


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *rest: Any) -> Any:
    """Return a tensor over a storage; one that repeats its numbers may have any size, and is refused."""
    import torch

    if math.prod(size) > len(storage):
        raise pickle.UnpicklingError("it asks for a tensor of more numbers than it holds")
    return torch._utils._rebuild_tensor_v2(storage, offset, size, stride, False, {})  # type: ignore[no-untyped-call]


def _storage(data: bytes) -> Any:
    """Load a tensor's storage as torch pickles it, itself restricted to tensors."""
    import torch

    found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    if not isinstance(found, torch.storage.TypedStorage):
        raise pickle.UnpicklingError("it holds something else in the place of a storage")
    return found


def per_clip(value: Any) -> Any:
    """Return an array of averages as it is, and what is a list as a list of arrays, one a clip."""
    return [_array(clip) for clip in value] if isinstance(value, list | tuple) else _array(value)


def _array(value: Any) -> np.ndarray:
    if isinstance(value, list | tuple):  # of single steps or labels
        return np.stack([_array(item) for item in value]) if value else np.zeros((0, 0), np.float32)
    return np.asarray(value.detach().numpy() if hasattr(value, "detach") else value)
