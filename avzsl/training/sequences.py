"""Sequences of a batch, gathered from flat arrays on the device or mapped from the disk, without a Python loop."""

from __future__ import annotations

import logging
import mmap
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from avzsl.contracts.streams import Stream
from avzsl.contracts.vocabulary import MODALITIES
from avzsl.methods import Steps
from avzsl.training.crops import Part

logger = logging.getLogger(__name__)

# Share of a GPU's free memory that features may fill; what does not fit stays on the disk.
GPU_SHARE = 0.5
# Bytes read through the map before its pages are given back: they would count as this process's memory.
KEPT = 256 << 20
# What one forward pass in evaluation may hold: clips x (all their steps)^2, which attention's memory goes with (8 heads
# of float32 then need 256 MB a layer), and bytes of features.
PAIRS = 8 << 20
BYTES = 256 << 20
CLIPS = 4096


class Sequences:
    """The steps of one modality of all clips."""

    def __init__(self, stream: Stream, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.offsets = torch.from_numpy(stream.offsets)
        self.times = torch.from_numpy(np.ascontiguousarray(stream.times))
        self.values = torch.from_numpy(stream.values)
        self._map = getattr(stream.values, "_mmap", None)
        self._read = 0
        if device.type == "cuda" and stream.values.nbytes < GPU_SHARE * torch.cuda.mem_get_info(device)[0]:
            self.values, self._map = self.values.to(device), None

    def gather(self, rows: Tensor, part: Part) -> Steps:
        """Return the steps `part` (B) of the clips `rows` (B), both on the host, padded to the longest or to its width."""
        width = part.width if part.width is not None else int(part.kept.max()) if len(rows) else 0
        place = torch.arange(width)
        real = (place < part.kept[:, None]).flatten()
        shape = (len(rows), width)
        # Padded places read the first step there is, and are emptied afterwards.
        index = torch.where(real, ((self.offsets[rows] + part.first)[:, None] + place).flatten(), 0)
        padded = (~real).nonzero()[:, 0]
        if len(self.values):
            values = self.values.index_select(0, index.to(self.values.device)).to(self.device, self.dtype)
            values.index_fill_(0, padded.to(self.device), 0.0)
            times = self.times.index_select(0, index).index_fill_(0, padded, 0.0)
        else:  # no clip of the data set has this modality
            values = torch.zeros(len(index), self.values.shape[1], device=self.device, dtype=self.dtype)
            times = torch.zeros(len(index), 2, dtype=torch.float64)
        self._release(values.nbytes)
        return Steps(
            values.view(*shape, self.values.shape[1]),
            part.kept.to(self.device),
            times.view(*shape, 2).to(self.device),
            real.nonzero()[:, 0].to(self.device),
        )

    def _release(self, size: int) -> None:
        """Count what was read through the map, and give its pages back now and then; the system may still hold them."""
        self._read += size
        if self._map is not None and self._read > KEPT:
            self._map.madvise(mmap.MADV_DONTNEED)
            self._read = 0


def on_device(streams: dict[str, Stream], device: torch.device, dtype: torch.dtype) -> dict[str, Sequences]:
    """Return the steps of both modalities, ready to gather batches from for `device`."""
    held = {name: Sequences(streams[name], device, dtype) for name in MODALITIES}
    if device.type == "cuda":
        where = {name: str(sequences.values.device) for name, sequences in held.items()}
        logger.info("features of steps are on: %s", where)
    return held


def chunks(parts: dict[str, Part], dims: tuple[int, int]) -> Iterator[Tensor]:
    """Yield positions of the clips of `parts` (N) for one forward pass each: of like length, and bounded in memory."""
    widths = [torch.maximum(p.kept, torch.full_like(p.kept, p.width or 0)) for p in parts.values()]
    total = widths[0] + widths[1]
    order = torch.argsort(total, stable=True)
    begin = 0
    while begin < len(order):
        # Lengths ascend, so the last clip of a chunk sets its cost.
        tail = order[begin : begin + CLIPS]
        count = torch.arange(1, len(tail) + 1)
        longest = [width[tail].cummax(0).values for width in widths]
        size = 4 * count * (longest[0] * dims[0] + longest[1] * dims[1])
        pairs = count * (longest[0] + longest[1] + 1) ** 2
        fits = int(((size <= BYTES) & (pairs <= PAIRS)).sum())
        yield tail[: max(fits, 1)]
        begin += max(fits, 1)


def take(parts: dict[str, Part], positions: Tensor | int) -> dict[str, Part]:
    """Return the parts of some clips, or of one of several batches."""
    return {name: replace(part, first=part.first[positions], kept=part.kept[positions]) for name, part in parts.items()}
