"""The two-stage protocol (AVCA section 4.2): choose on validation, train the final model, test once.

Stage 1 trains on `train` and, after every epoch, scores val_seen + val_unseen; the epoch with the highest HM and its
beta are kept. Stage 2 trains a new model from the same seed on train + val_seen + val_unseen for that many epochs.
Later epochs of stage 2 would never be used, so they are not run: the released code runs all fifty, with the same result.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from avzsl.benchmark.data import TRAIN_SUBSETS
from avzsl.config.methods import TrainingConfig
from avzsl.contracts.errors import AvzslError
from avzsl.methods import Method
from avzsl.runtime import checkpoint
from avzsl.runtime.progress import Ticker
from avzsl.training.evaluate import validate
from avzsl.training.live import Watch
from avzsl.training.sampling import BalancedSet, DeviceData

logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """What both stages have done so far; plain values only, so that a checkpoint holds it."""

    history: list[dict[str, Any]] = field(default_factory=list)
    epoch: int = 0  # selected, 1-based; 0: none yet
    best: float = 0.0
    beta: float = 0.0

    def select(self) -> None:
        """Mark the epoch that stage 1 chose."""
        for row in self.history:
            row["selected"] = row["epoch"] == self.epoch

    def lr_of(self, epoch: int) -> float:
        """Return stage 1's learning rate in an epoch."""
        return next(row["lr"] for row in self.history if row["stage"] == 1 and row["epoch"] == epoch)


@dataclass(frozen=True)
class Job:
    """One run: what to train, on what, and where its checkpoint is."""

    make: Callable[[], Method]
    source: DeviceData
    training: TrainingConfig  # with the preset filled in
    seed: int
    checkpoint: Path
    fingerprint: str


def train(job: Job, ticker: Ticker, watch: Watch) -> tuple[Method, Progress]:
    """Run both stages and return the final model and the history; continues from the checkpoint if there is one.

    `watch` is shown every epoch, those before the checkpoint too.
    """
    saved = checkpoint.restore(job.checkpoint, job.fingerprint, job.source.device)
    progress = Progress(**saved["progress"]) if saved else Progress()
    if saved:
        ticker.advance(len(progress.history))
        for row in progress.history:
            watch(row)
    if saved is None or saved["stage"] == 1:
        _stage(job, 1, job.training.epochs, progress, saved, ticker, watch)
        progress.select()
        ticker.total = len(progress.history) + progress.epoch
        saved = None
    method = _stage(job, 2, progress.epoch, progress, saved, ticker, watch)
    return method, progress


class Course:
    """One stage of one run: its model, its data, its learning rate, and what every epoch leaves.

    `saved` is a checkpoint of the stage, from which it goes on.
    """

    def __init__(self, job: Job, stage: int, epochs: int, progress: Progress, saved: dict[str, Any] | None) -> None:
        training, source = job.training, job.source
        self.job, self.stage, self.progress = job, stage, progress
        torch.manual_seed(job.seed)
        self.method = job.make().to(source.device, source.vectors.dtype)
        subset = source.data.subset(*TRAIN_SUBSETS[stage])
        cropper = source.cropper(training, self.method.step_seconds, subset)
        self.data = BalancedSet(source, subset, job.seed, cropper, self.method.negatives)
        self.optimisers = self.method.optimisers(training)
        # Only the scheduler's state is used; a method without gradient steps has no optimiser to drive.
        self._dummy = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=training.lr)
        self._scheduler = ReduceLROnPlateau(
            self._dummy, mode="max", factor=training.lr_factor, patience=training.patience
        )
        self.first, self.epochs = 1, epochs
        if self.method.settings is not None:
            # Settings do not build on each other: stage 2 solves the chosen one alone.
            self.epochs, self.first = (self.method.settings, 1) if stage == 1 else (epochs, epochs)
        if saved is not None:
            self.method.load_state_dict(saved["model"])
            for name, optimiser in self.optimisers.items():
                optimiser.load_state_dict(saved["optimisers"][name])
            self._scheduler.load_state_dict(saved["scheduler"])
            self._dummy.param_groups[0]["lr"] = saved["lr"]
            checkpoint.set_random_state(saved["random"], source.device, self.data.generators)
            self.first = saved["epoch"] + 1
        # Stage 2's own validation score drives its schedule as released; under replay nobody looks at it.
        self._scored = stage == 1 or training.stage2_schedule == "plateau"
        self.written = time.monotonic()

    def lr(self, epoch: int) -> float:
        """Return the learning rate of an epoch that is about to begin."""
        if self.stage == 2 and self.job.training.stage2_schedule == "replay":
            return self.progress.lr_of(epoch)
        return float(self._dummy.param_groups[0]["lr"])

    def end_epoch(self, epoch: int, lr: float, loss: float, started: float) -> dict[str, Any]:
        """Score the model after an epoch and return the row of the history; `started` on the monotonic clock."""
        progress = self.progress
        row: dict[str, Any] = {
            "stage": self.stage,
            "epoch": epoch,
            "lr": lr,
            "loss": loss,
            "selected": self.stage == 2 and epoch == self.epochs,
        }
        if self._scored:
            scores, beta = validate(self.method, self.job.source, self.job.training)
            hm = scores.hm or 0.0
            row |= {"seen": scores.seen, "unseen": scores.unseen, "hm": hm, "zsl": scores.zsl, "beta": scores.beta}
            self._scheduler.step(hm)
            # The first of equal epochs wins, except that nothing yet (0) is replaced by any later epoch.
            if self.stage == 1 and (hm > progress.best or not progress.best):
                progress.epoch, progress.best, progress.beta = epoch, hm, beta
        row["seconds"] = time.monotonic() - started
        progress.history.append(row)
        return row

    def ends(self, epoch: int) -> bool:
        """Return whether the stage is over after an epoch: its last, or too many without a better score."""
        # Never for settings of a closed form: they are no steps of one path.
        stops = self.stage == 1 and self.method.settings is None
        patience = self.job.training.stop_epochs if stops else None
        return epoch >= self.epochs or (patience is not None and epoch - self.progress.epoch >= patience)

    def save(self, epoch: int, random: dict[str, Any]) -> None:
        """Write the checkpoint after an epoch; `random` are the states of its streams (`checkpoint.random_state`)."""
        checkpoint.save(
            self.job.checkpoint,
            self.job.fingerprint,
            {
                "stage": self.stage,
                "epoch": epoch,
                "progress": vars(self.progress),
                "model": self.method.state_dict(),
                "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
                "scheduler": self._scheduler.state_dict(),
                "lr": self._dummy.param_groups[0]["lr"],
                "random": random,
            },
        )
        self.written = time.monotonic()

    def due(self) -> bool:
        """Return whether it is time for a checkpoint."""
        return time.monotonic() - self.written >= self.job.training.checkpoint_seconds


def diverged(loss: float, stage: int, epoch: int) -> AvzslError:
    """Return the error of a loss that is no number."""
    return AvzslError(f"training diverged: loss {loss} in stage {stage}, epoch {epoch}; lower training.lr")


def _stage(
    job: Job,
    stage: int,
    epochs: int,
    progress: Progress,
    saved: dict[str, Any] | None,
    ticker: Ticker,
    watch: Watch | None = None,
) -> Method:
    course = Course(job, stage, epochs, progress, saved)
    method, training, source = course.method, job.training, job.source
    if training.compile:
        # On a GPU the compiled loss is replayed as a CUDA graph: one launch instead of hundreds.
        mode = "reduce-overhead" if source.device.type == "cuda" else "default"
        method.compiled_loss = torch.compile(method.loss, mode=mode)
    for epoch in range(course.first, course.epochs + 1):
        started, lr = time.monotonic(), course.lr(epoch)
        for optimiser in course.optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = lr
        method.setting = epoch
        loss = float(method.epoch(course.data, course.optimisers, training))
        if not np.isfinite(loss):
            raise diverged(loss, stage, epoch)
        row = course.end_epoch(epoch, lr, loss, started)
        ticker.advance()
        if watch is not None:
            watch(row)
        if stage == 1 and epoch == 1 and watch is not None and method.settings is None and epochs > 1:
            logger.info(
                "an epoch takes %.1f s: at most %.1f minutes for two stages of up to %d epochs",
                row["seconds"], 2 * epochs * row["seconds"] / 60, epochs,
            )  # fmt: skip
        if course.ends(epoch):
            break
        if course.due():
            course.save(epoch, checkpoint.random_state(source.device, course.data.generators))
    return method
