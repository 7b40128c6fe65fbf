"""What a decoding process and its parent say to each other: a length, a JSON header, raw arrays. Nothing that executes."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

_LENGTH = struct.Struct("<I")

Message = tuple[dict[str, Any], dict[str, np.ndarray]]


def send(stream: BinaryIO, header: dict[str, Any], arrays: dict[str, np.ndarray] | None = None) -> None:
    """Write one message; its header gets the names, types and shapes of the arrays that follow it."""
    arrays = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    header = header | {"arrays": [[name, array.dtype.str, array.shape] for name, array in arrays.items()]}
    text = json.dumps(header).encode()
    stream.write(_LENGTH.pack(len(text)) + text)
    for array in arrays.values():
        if array.size:
            stream.write(array.data.cast("B"))
    stream.flush()


def receive(read: Callable[[int], bytes | bytearray]) -> Message:
    """Return the header and arrays of one message; `read` gives exactly as many bytes as it is asked for."""
    (length,) = _LENGTH.unpack(read(_LENGTH.size))
    header = json.loads(bytes(read(length)))
    arrays = {}
    for name, kind, shape in header.pop("arrays"):
        dtype = np.dtype(kind)
        arrays[name] = np.frombuffer(read(dtype.itemsize * math.prod(shape)), dtype).reshape(shape)
    return header, arrays


def receive_from(stream: BinaryIO) -> Message:
    """Return the next message of a stream; raises EOFError when the other side is gone."""

    def exactly(count: int) -> bytes:
        data = stream.read(count)
        if len(data) < count:
            raise EOFError
        return data

    return receive(exactly)
