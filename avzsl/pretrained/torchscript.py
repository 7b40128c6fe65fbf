"""The tensors of a TorchScript archive, read without executing it.

The archive is a zip file: `data.pkl` is a pickle of the tree of modules, `data/N` are the bytes of their tensors. Its code is
never looked at, and of the pickle only tensors, plain containers and nameless modules are built.
"""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avzsl.contracts.errors import DataError

DEEPEST = 64  # modules within modules; more is no network
TYPES = {
    "FloatStorage": torch.float32, "HalfStorage": torch.float16, "BFloat16Storage": torch.bfloat16, "DoubleStorage": torch.float64,
    "LongStorage": torch.int64, "IntStorage": torch.int32, "ShortStorage": torch.int16, "CharStorage": torch.int8,
    "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip


def is_torchscript(path: Path) -> bool:
    """Whether a file is an archive with code, as torch.jit.save writes."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.split("/", 1)[-1] == "constants.pkl" for name in archive.namelist())


def read_torchscript(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors by their dotted names, and the names of what is no tensor.

    Raises DataError for an archive that is damaged, or whose pickle asks for anything but tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(info.file_size for info in archive.infolist())
            if total > 2 * path.stat().st_size:
                raise DataError(path, f"would unpack to {total} bytes, which tensors do not; fetch it again")
            [index] = [name for name in archive.namelist() if name.split("/", 1)[-1] == "data.pkl"]
            with archive.open(index) as stream:
                tree = _Restricted(stream, archive, index.removesuffix("data.pkl")).load()
    except pickle.UnpicklingError as error:
        raise DataError(path, f"is not an archive of tensors alone ({error}); nothing of it was executed") from error
    except DataError:
        raise
    except Exception as error:  # a damaged archive can fail in any way
        raise DataError(path, f"is not a whole TorchScript archive ({error}); fetch it again") from error
    tensors: dict[str, Tensor] = {}
    others: list[str] = []
    _collect(tree, "", tensors, others, path)
    return tensors, others


class _Module:
    """A module of which only its attributes are kept."""

    def __init__(self) -> None:
        self.attributes: dict[Any, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.attributes = state if type(state) is dict else {}


class _Restricted(pickle.Unpickler):
    """An unpickler that knows tensors, lists and modules without behaviour."""

    def __init__(self, stream: Any, archive: zipfile.ZipFile, top: str) -> None:
        super().__init__(stream)
        self._archive, self._top = archive, top

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return _Module
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in TYPES:
            return TYPES[name]
        if module == "torch.jit._pickle" and name in {
            "build_intlist",
            "build_doublelist",
            "build_boollist",
            "build_tensorlist",
        }:
            return list
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        """Return the bytes of a storage as a flat tensor."""
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"it asks for {kind!r}")
        content = bytearray(self._archive.read(f"{self._top}data/{int(key)}"))
        return torch.frombuffer(content, dtype=dtype, count=int(count)) if count else torch.zeros(0, dtype=dtype)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    if not isinstance(storage, Tensor):
        raise pickle.UnpicklingError("a tensor has no storage")
    # A stride of 0 would make terabytes of a few bytes.
    if torch.Size(size).numel() > storage.numel():
        raise pickle.UnpicklingError("a tensor is larger than its storage")
    return storage.as_strided(tuple(size), tuple(stride), int(offset)).clone()


def _collect(value: Any, name: str, tensors: dict[str, Tensor], others: list[str], path: Path) -> None:
    if isinstance(value, Tensor):
        tensors[name] = value.contiguous()
    elif isinstance(value, _Module):
        if name.count(".") > DEEPEST:
            raise DataError(path, "holds modules within modules without end; fetch it again")
        for key, inner in value.attributes.items():
            _collect(inner, f"{name}.{key}" if name else str(key), tensors, others, path)
    elif value is not None and not isinstance(value, bool):  # `training` and what is not there
        others.append(name)
