"""Read and write arrays as safetensors, with a JSON header of what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from avzsl.contracts.atomic import replacing
from avzsl.contracts.errors import DataError


def write_arrays(path: str | Path, arrays: dict[str, np.ndarray], header: dict[str, Any]) -> None:
    """Write named arrays and a JSON-like `header` to one safetensors file, in one step.

    Equal arrays and headers give equal bytes.
    """
    contiguous = {name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}
    with replacing(path) as temporary:
        save_file(contiguous, temporary, metadata={"avzsl": json.dumps(header, sort_keys=True)})


def read_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read a file of `write_arrays`: the arrays by name, and the header.

    Raises DataError that names the file if it is missing, truncated or of another origin.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(path, "does not exist")
    try:
        with safe_open(path, framework="numpy") as stream:
            metadata = stream.metadata() or {}
            arrays = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (a handle, not a mapping)
    except (SafetensorError, OSError) as error:
        raise DataError(path, f"is not a whole safetensors file ({error}); delete it and run again") from error
    if "avzsl" not in metadata:
        raise DataError(path, "is a safetensors file, but not one that avzsl wrote")
    return arrays, json.loads(metadata["avzsl"])
