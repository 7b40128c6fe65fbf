"""Arrays from a decoding process to its parent through shared memory: a few slots in a file that has no name.

Each process has a ring of its own, made by the parent and handed down as an open file. Nothing ever stands in /dev/shm: the
memory goes with the last process that holds it, however that ends. The child writes a slot and names it in a message; the
parent names it back when it has taken what is in it. What fits no slot goes through the pipe.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

# A window of SeLaVi takes 4.6 MB. Pages that nobody writes to take no memory.
SLOTS, SLOT_BYTES = 4, 10 << 20
_ALIGNED = 64

# Name, type, shape and place of an array in the memory.
Place = tuple[str, str, list[int], int]


class Ring:
    """Slots of one memory, seen from either side."""

    def __init__(self, file: int, slots: int = SLOTS, slot_bytes: int = SLOT_BYTES) -> None:
        self.file, self.slots, self.slot_bytes = file, slots, slot_bytes
        self.memory = mmap.mmap(file, slots * slot_bytes)

    @classmethod
    def make(cls, slots: int = SLOTS, slot_bytes: int = SLOT_BYTES) -> Ring:
        """Return a new ring; its `file` is to be handed to the child."""
        if hasattr(os, "memfd_create"):
            file = os.memfd_create("avzsl-windows", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as temporary:  # a file that is deleted already
                file = os.dup(temporary.fileno())
        os.ftruncate(file, slots * slot_bytes)
        return cls(file, slots, slot_bytes)

    def describe(self) -> dict[str, int]:
        """Return what the child needs to attach: the arguments of the constructor."""
        return {"file": self.file, "slots": self.slots, "slot_bytes": self.slot_bytes}

    def write(self, slot: int, arrays: Mapping[str, np.ndarray]) -> list[Place]:
        """Copy arrays into a slot, which they must fit (`fits`), and return where they are."""
        at = slot * self.slot_bytes
        places: list[Place] = []
        for name, array in arrays.items():
            np.frombuffer(self.memory, array.dtype, array.size, at).reshape(array.shape)[...] = array
            places.append((name, array.dtype.str, list(array.shape), at))
            at += _padded(array.nbytes)
        return places

    def fits(self, arrays: Mapping[str, np.ndarray]) -> bool:
        """Return whether one slot holds the arrays."""
        return sum(_padded(array.nbytes) for array in arrays.values()) <= self.slot_bytes

    def views(self, places: list[Place]) -> dict[str, np.ndarray]:
        """Return the arrays at some places without copying: valid until the slot is handed back."""
        return {
            name: np.frombuffer(self.memory, kind, math.prod(shape), at).reshape(shape)
            for name, kind, shape, at in places
        }

    def close(self) -> None:
        """Give up the file; the memory itself goes with its last view."""
        os.close(self.file)


class Outbox:
    """The child's side: puts arrays into slots that are free, and waits for one where none is."""

    def __init__(self, ring: Ring, receive: Callable[[], dict[str, Any]]) -> None:
        self._ring, self._receive = ring, receive
        self._free = list(range(ring.slots))

    def put(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
        """Return the part of a message that says where the arrays are, or None if they fit no slot."""
        if not self._ring.fits(arrays):
            return None
        while not self._free:
            self.returned(self._receive())
        slot = self._free.pop(0)
        return {"slot": slot, "places": self._ring.write(slot, arrays)}

    def returned(self, message: dict[str, Any]) -> bool:
        """Take back a slot if that is what a message is about; return whether it was."""
        if "slot" in message:
            self._free.append(message["slot"])
        return "slot" in message


def _padded(count: int) -> int:
    return -(-count // _ALIGNED) * _ALIGNED
