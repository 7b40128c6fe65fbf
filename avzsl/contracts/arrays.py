"""Read and write arrays as safetensors, with a JSON header of what they are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from avzsl.contracts.atomic import replacing
from avzsl.contracts.errors import CorruptError, DataError


def write_arrays(path: str | Path, arrays: dict[str, np.ndarray], header: dict[str, Any]) -> None:
    """Write named arrays and a JSON-like `header` to one safetensors file, in one step.

    Equal arrays and headers give equal bytes. A checksum of both is written too, because a disk or network file
    system that changes a byte of a feature would go unseen for ever.
    """
    contiguous = {name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}
    # Inside the one entry of metadata, since the order of several is not the same from file to file.
    text = json.dumps({**header, "checksum": _checksum(contiguous, header)}, sort_keys=True)
    with replacing(path) as temporary:
        save_file(contiguous, temporary, metadata={"avzsl": text})


def read_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a file of `write_arrays`: the arrays by name, and the header.

    Raises DataError that names the file if it is missing or of another origin, CorruptError if it is not as it was
    written.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(path, "does not exist")
    try:
        with safe_open(path, framework="numpy") as stream:
            metadata = stream.metadata() or {}
            arrays = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (a handle, not a mapping)
    except SafetensorError as error:
        raise CorruptError(path, f"is not a whole safetensors file ({error}); delete it and run again") from error
    except OSError as error:
        raise DataError(path, f"cannot be read ({error})") from error
    if "avzsl" not in metadata:
        raise DataError(path, "is a safetensors file, but not one that avzsl wrote")
    changed = CorruptError(path, "has changed since it was written: its checksum is wrong; delete it and run again")
    try:
        header: dict[str, Any] = json.loads(metadata["avzsl"])
    except ValueError as error:
        raise changed from error
    if header.pop("checksum", None) != _checksum(arrays, header):
        raise changed
    return arrays, header


def _checksum(arrays: dict[str, np.ndarray], header: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode("utf-8"))
    for name, array in sorted(arrays.items()):
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
