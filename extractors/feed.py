"""Raw windows onto a device: straight from a decoding process's memory, which the driver has been told of, by DMA."""

from __future__ import annotations

from collections.abc import Mapping
from mmap import mmap
from typing import Any

import numpy as np
import torch

from avzsl.contracts.errors import AvzslError
from avzsl.runtime.accelerator import losses

# Smaller arrays are of more use to the host.
_SMALL = 4096


class DeviceFeed:
    """Copies windows to a device, in as many threads as there are decoding processes (`extractors.base.Feed`).

    The copies have a stream of their own, beside the computation. Who uses a tensor in another stream says so
    (`Tensor.record_stream`), or its memory may be filled anew too early.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def pin(self, memory: mmap) -> None:
        """Register a ring with the driver, so that copies from it need no buffer in between."""
        if self._stream is not None:
            code = torch.cuda.cudart().cudaHostRegister(_address(memory), len(memory), 1)  # type: ignore[no-untyped-call]
            if int(code):
                raise AvzslError(
                    f"the driver cannot pin {len(memory) >> 20} MiB of memory (error {int(code)}); raise `ulimit -l`, or ask "
                    "for fewer threads"
                )

    def unpin(self, memory: mmap) -> None:
        """Take a ring from the driver."""
        if self._stream is not None:
            torch.cuda.cudart().cudaHostUnregister(_address(memory))  # type: ignore[no-untyped-call]

    def upload(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Return the arrays as tensors on the device, small ones as they are; nothing refers to the ring any more."""
        large = {name: torch.from_numpy(array) for name, array in arrays.items() if array.nbytes >= _SMALL}
        small = {name: array.copy() for name, array in arrays.items() if name not in large}
        if self._stream is None:
            return small | {name: tensor.to(self._device, copy=True) for name, tensor in large.items()}
        with losses("copying windows to it"), torch.cuda.stream(self._stream):
            there = {name: tensor.to(self._device, non_blocking=True) for name, tensor in large.items()}
            done = torch.cuda.Event()  # type: ignore[no-untyped-call]
            done.record()
            done.synchronize()
        return small | there


def _address(memory: mmap) -> int:
    return int(np.frombuffer(memory, np.uint8).ctypes.data)
