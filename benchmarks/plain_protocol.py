"""The two-stage protocol the way the released code works, on `plain_avca`: a plain loop, written from the specification.

Items sampled one by one in Python, a validation loss that selects nothing, the whole beta grid anew, fifty epochs of stage 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from plain_avca import plain

from avzsl.benchmark import BenchmarkData
from avzsl.config.load import Method
from avzsl.methods import Batch, Clips, Dims, build
from avzsl.methods.avca import AVCA

# The distance of what is no candidate.
FAR = 99999999999999.0


class PlainItems(torch.utils.data.Dataset):
    """One positive and one negative clip an item, drawn in Python for every item."""

    def __init__(self, data: BenchmarkData, subsets: tuple[str, ...]) -> None:
        part = data.subset(*subsets)
        self.data, self.rows, self.labels = data, part.rows, part.labels
        self.classes = sorted(set(part.labels.tolist()))
        self.of_class = {c: np.flatnonzero(part.labels == c) for c in self.classes}
        self.text = data.vectors[self.classes]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        label = int(self.labels[index])
        other = int(np.random.choice([c for c in self.classes if c != label]))
        negative = int(np.random.choice(self.of_class[other]))
        rows = (self.rows[index], self.rows[negative])
        parts = [(self.data.audio[r], self.data.visual[r]) for r in rows]
        text = [self.text[self.classes.index(c)] for c in (label, other)]
        return (*parts[0], text[0], label), (*parts[1], text[1], other)


def plain_loader(items: PlainItems, batches: int, size: int) -> torch.utils.data.DataLoader:
    """Class-balanced sampling with replacement, `batches` batches of `size`."""
    counts = {c: len(rows) for c, rows in items.of_class.items()}
    weights = [1.0 / (len(counts) * counts[int(label)]) for label in items.labels]
    sampler = torch.utils.data.WeightedRandomSampler(weights, batches * size, replacement=True)
    return torch.utils.data.DataLoader(items, batch_size=size, sampler=sampler)


def plain_evaluate(
    z: torch.Tensor, w: torch.Tensor, targets: torch.Tensor, ids: np.ndarray, seen: np.ndarray, space: int
) -> tuple[float, ...]:
    """Return (S, U, HM, ZSL, beta) of the best of the 16 values of beta, everything done anew for each of them."""
    seen_ids, unseen_ids = torch.from_numpy(ids[seen]), torch.from_numpy(ids[~seen])
    columns = torch.from_numpy(ids)
    best = (0.0, 0.0, -1.0, 0.0, 0.0)

    def recall(predicted: torch.Tensor) -> torch.Tensor:
        right = torch.bincount(predicted[predicted == targets], minlength=space)
        return right / torch.bincount(targets, minlength=space)

    for beta in torch.linspace(0, 3, 16):
        # Over the whole id space, where classes outside the benchmark are far from everything; the released code
        # fills two such matrices for each beta, one of which it then replaces.
        distances, unseen_only = torch.zeros((len(z), space)) + FAR, torch.zeros((len(z), space)) + FAR
        distances[:, columns] = torch.cdist(z, w)
        far = torch.zeros(space, dtype=torch.long)
        far[seen_ids] = int(FAR)
        unseen_only = distances + far
        bias = torch.zeros(space) + beta
        bias[unseen_ids] = 0
        calibrated = recall((distances + bias).argmin(1))
        among = recall(unseen_only.argmin(1))
        s, u, zsl = (float(r.mean()) for r in (calibrated[seen_ids], calibrated[unseen_ids], among[unseen_ids]))
        hm = 2 * s * u / (s + u + 2.2e-16)
        if hm > best[2]:
            best = (s, u, hm, zsl, float(beta))
    return best


def plain_stage(data: BenchmarkData, subsets: tuple[str, ...], method: Method, space: int, seed: int) -> list[float]:
    """Train for all epochs as released and return the validation HM of each; `space` is the data set's number of classes."""
    training = method.training
    torch.manual_seed(seed)
    np.random.seed(seed)
    model = build("avca", Dims(512, 512, 300), method.options)
    assert isinstance(model, AVCA)
    plain(model)
    optimiser = torch.optim.Adam(model.trained(), lr=training.lr, weight_decay=training.weight_decay)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, mode="max", patience=3)
    items, check = PlainItems(data, subsets), PlainItems(data, ("val_seen", "val_unseen"))
    validation, (ids, seen) = data.subset("val_seen", "val_unseen"), data.candidates(1)

    def unpack(sides: list[Any], classes: torch.Tensor) -> Batch:
        return Batch(Clips(*sides[0]), Clips(*sides[1]), classes)

    result = []
    for _ in range(training.epochs):
        model.train()
        for sides in plain_loader(items, training.batches_per_epoch, training.batch_size):
            loss = model.step(unpack(sides, torch.empty(0)), {"adam": optimiser}, 0)
            float(loss)
        model.eval()
        with torch.no_grad():
            for sides in plain_loader(check, training.batches_per_epoch, training.batch_size):
                batch = unpack(sides, torch.empty(0))
                float(model.loss(batch))
                model.embed(batch.positive.audio, batch.positive.visual, batch.positive.text)
            points = model.embed(
                torch.from_numpy(data.audio[validation.rows]),
                torch.from_numpy(data.visual[validation.rows]),
                torch.from_numpy(data.vectors[ids]),
            )
        scores = plain_evaluate(
            points["visual"], points["classes"], torch.from_numpy(validation.labels), ids, seen, space
        )
        scheduler.step(scores[2])
        result.append(scores[2])
    return result


def plain_protocol(data: BenchmarkData, method: Method, space: int) -> int:
    """Run both stages as the released code does and return the epoch that stage 1 selects."""
    hm = plain_stage(data, ("train",), method, space, 0)
    plain_stage(data, ("train", "val_seen", "val_unseen"), method, space, 0)
    return int(np.argmax(hm)) + 1
