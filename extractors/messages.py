"""What a decoding process sends: a length, a JSON header, raw arrays. Nothing that executes."""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

import numpy as np

LENGTH = struct.Struct("<I")


def send(stream: BinaryIO, header: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> None:
    """Write one message; its header gets the names, types and shapes of the arrays that follow it."""
    arrays = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    header = header | {"arrays": [[name, array.dtype.str, array.shape] for name, array in arrays.items()]}
    text = json.dumps(header).encode()
    stream.write(LENGTH.pack(len(text)) + text)
    for array in arrays.values():
        if array.size:
            stream.write(array.data.cast("B"))
    stream.flush()
