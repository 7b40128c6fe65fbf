"""Features ready for a device, and balanced batches drawn from them without a Python loop over samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avzsl.benchmark import BenchmarkData, Subset
from avzsl.config.methods import TrainingConfig
from avzsl.contracts.errors import DataError
from avzsl.contracts.mapped import in_pieces, scattered_rows
from avzsl.embeddings.embed import embed_phrases
from avzsl.methods import Batch, Clips, Steps
from avzsl.training.crops import Cropper, Part
from avzsl.training.sequences import on_device, take

# Clips of a block: 8 MB in float64 with 512 + 512 values, 64 MB with 4096 + 4096.
BLOCK = 1024
DTYPES = {"float32": torch.float32, "bfloat16": torch.float32, "float64": torch.float64}


class DeviceData:
    """A benchmark's features and class embeddings as tensors on one device; every subset indexes into them."""

    def __init__(self, data: BenchmarkData, device: torch.device, precision: str) -> None:
        kind = DTYPES[precision]
        self.data, self.device = data, device
        # On the CPU these are the arrays that were read, or mapped. Who trains on sequences leaves averages on the disk.
        on_disk = data.steps is not None or (device.type == "cpu" and isinstance(data.audio, np.memmap))
        self.audio, self.visual = (
            torch.from_numpy(array) if on_disk else _on_device(array, device, kind)
            for array in (data.audio, data.visual)
        )
        self._kind, self._on_disk = kind, on_disk
        self.vectors = torch.from_numpy(data.vectors).to(device, kind)
        self.sequences = on_device(data.steps, device, kind) if data.steps is not None else None
        self._phrases: dict[tuple[str, ...], Tensor] = {}

    def averages(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return sound and picture (B, k) of the clips at `rows` (B,) of the pack."""
        if not self._on_disk:
            return self.audio.index_select(0, rows), self.visual.index_select(0, rows)
        audio, visual = (scattered_rows(part, rows.numpy()) for part in (self.data.audio, self.data.visual))
        return torch.from_numpy(audio).to(self._kind), torch.from_numpy(visual).to(self._kind)

    def phrases(self, phrases: Sequence[str]) -> Tensor:
        """Return the embeddings (n, k_w) of any phrases, made as the classes' were; a row of 0 where there is none.

        Raises AvzslError if the vectors are not there any more or not those of the benchmark.
        """
        key = tuple(phrases)
        if key not in self._phrases:
            vectors = embed_phrases(key, self.data.record.embeddings or {})
            self._phrases[key] = torch.from_numpy(vectors).to(self.vectors)
        return self._phrases[key]

    def cropper(self, training: TrainingConfig, step_seconds: Sequence[float] | None, subset: Subset) -> Cropper | None:
        """Return the rules of length for the sequences of a subset, None where averages are trained on."""
        if self.data.steps is None:
            return None
        return Cropper(self.data.steps, training, step_seconds, subset.rows, subset.clip_ids)

    def gather(self, rows: Tensor, parts: dict[str, Part]) -> tuple[Steps, Steps]:
        """Return sound and picture of the clips `rows` (B), on the host, as sequences."""
        assert self.sequences is not None
        return (
            self.sequences["audio"].gather(rows, parts["audio"]),
            self.sequences["visual"].gather(rows, parts["visual"]),
        )


def _on_device(array: np.ndarray, device: torch.device, kind: torch.dtype) -> Tensor:
    """Return an array as a tensor on a device; one that is mapped goes there piece by piece."""
    if not isinstance(array, np.memmap):
        return torch.from_numpy(array).to(device, kind)
    whole = torch.empty(array.shape, device=device, dtype=kind)
    start = 0
    for piece in in_pieces(array):
        whole[start : start + len(piece)] = torch.from_numpy(piece).to(device)
        start += len(piece)
    return whole


class BalancedSet:
    """Training clips, drawn with replacement: classes uniform, clips uniform in their class.

    The released sampler weighs a clip by 1 / (classes x clips of its class), which is the same distribution. The
    negative of a clip is uniform over the other classes, then over that class's clips. The papers describe neither.
    Raises DataError if there are fewer than two classes.
    """

    def __init__(
        self,
        source: DeviceData,
        subset: Subset,
        seed: int,
        cropper: Cropper | None = None,
        negatives: bool = True,
    ) -> None:
        order = np.argsort(subset.labels, kind="stable")
        present, counts = np.unique(subset.labels, return_counts=True)
        if len(present) < 2:
            raise DataError(Path("training set"), "needs clips of at least two classes to draw negatives from")
        device = source.device
        self.source = source
        self.rows = torch.from_numpy(subset.rows[order]).to(device)
        # Position of each class's first clip in `rows`, and its number of clips.
        self.counts = torch.from_numpy(counts).to(device)
        self.starts = torch.cumsum(self.counts, 0) - self.counts
        self.classes = source.vectors[torch.from_numpy(present).to(device)]
        self.labels = torch.repeat_interleave(torch.arange(len(present), device=device), self.counts)
        self.generator = torch.Generator(device)
        self.generator.manual_seed(seed)
        # Crops are drawn on the host by a generator of their own: what they are does not depend on the device.
        self.crops = torch.Generator()
        self.crops.manual_seed(seed)
        self.cropper, self.negatives = cropper, negatives

    @property
    def generators(self) -> dict[str, torch.Generator]:
        """Return the generators that batches are drawn by, for checkpoints."""
        return {"sampler": self.generator, "crops": self.crops}

    def draw(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Return positions in `rows` of positive and negative clips, each of `shape`."""
        classes, device, generator = len(self.counts), self.source.device, self.generator
        positive = torch.randint(classes, shape, device=device, generator=generator)
        # One of the other classes: a number below classes - 1, moved up by one from the positive class on.
        negative = torch.randint(classes - 1, shape, device=device, generator=generator)
        negative += negative >= positive
        return self._within(positive), self._within(negative)

    def _within(self, classes: Tensor) -> Tensor:
        count = self.counts[classes]
        # float64 keeps every clip of a large class reachable; the minimum guards against rounding up to 1.
        share = torch.rand(classes.shape, device=classes.device, generator=self.generator, dtype=torch.float64)
        return self.starts[classes] + torch.minimum((share * count).long(), count - 1)

    def clips(self, positions: Tensor) -> Clips:
        """Return the averages of the clips at positions (B,) of `rows`, which are ordered by class."""
        rows, labels = self.rows[positions], self.labels[positions]
        audio, visual = self.source.averages(rows)
        return Clips(audio, visual, self.classes.index_select(0, labels), labels)

    def __len__(self) -> int:
        return len(self.rows)

    def blocks(self) -> Iterator[Clips]:
        """Yield all training clips once, as the pack has them: a mapped one is then read from end to end."""
        for positions in torch.split(torch.argsort(self.rows), BLOCK):
            yield self.clips(positions)

    @property
    def extractor(self) -> Mapping[str, Any]:
        """Return what made the features."""
        return self.source.data.record.extractor or {}

    @property
    def named(self) -> Mapping[str, frozenset[str]] | None:
        """Return label set -> labels that name a class of the benchmark; None where nobody has compared them."""
        named = self.source.data.record.named
        if named is None:
            return None
        return {name: frozenset(label for found in by.values() for label in found) for name, by in named.items()}

    def phrases(self, phrases: Sequence[str]) -> Tensor:
        """Return the embeddings of any phrases: see `DeviceData.phrases`."""
        return self.source.phrases(phrases)

    def batches(self, count: int, size: int) -> Iterator[Batch[Any]]:
        """Yield `count` batches of `size` clips with a negative each; all indices are drawn at once, on the device."""
        positive, negative = self.draw((count, size))
        if not self.negatives:
            negative = negative[:, :0]
        sides = [
            self._averages(side) if self.cropper is None else self._sequences(side) for side in (positive, negative)
        ]
        for p, n in zip(*sides, strict=True):
            yield Batch(p, n, self.classes)

    def _averages(self, positions: Tensor) -> Iterator[Clips]:
        for place in positions:
            yield self.clips(place)

    def _sequences(self, positions: Tensor) -> Iterator[Clips[Steps]]:
        """Yield a batch of sequences for each row of positions; where their crops lie is drawn before any is loaded."""
        assert self.cropper is not None
        rows = self.rows[positions].cpu()
        share = torch.rand(rows.shape, generator=self.crops, dtype=torch.float64)
        parts = self.cropper.training_parts(rows, share)
        labels = self.labels[positions]
        for number in range(len(rows)):
            audio, visual = self.source.gather(rows[number], take(parts, number))
            yield Clips(audio, visual, self.classes[labels[number]], labels[number])
