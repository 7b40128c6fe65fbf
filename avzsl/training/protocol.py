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
        for row in progress.history:
            row["selected"] = row["epoch"] == progress.epoch
        ticker.total = len(progress.history) + progress.epoch
        saved = None
    method = _stage(job, 2, progress.epoch, progress, saved, ticker, watch)
    return method, progress


def _stage(
    job: Job,
    stage: int,
    epochs: int,
    progress: Progress,
    saved: dict[str, Any] | None,
    ticker: Ticker,
    watch: Watch | None = None,
) -> Method:
    training, source = job.training, job.source
    torch.manual_seed(job.seed)
    method = job.make().to(source.device, source.vectors.dtype)
    subset = source.data.subset(*TRAIN_SUBSETS[stage])
    cropper = source.cropper(training, method.step_seconds, subset)
    data = BalancedSet(source, subset, job.seed, cropper, method.negatives)
    optimisers = method.optimisers(training)
    # Only the scheduler's state is used; a method without gradient steps has no optimiser to drive.
    dummy = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=training.lr)
    scheduler = ReduceLROnPlateau(dummy, mode="max", factor=training.lr_factor, patience=training.patience)
    if training.compile:
        # On a GPU the compiled loss is replayed as a CUDA graph: one launch instead of hundreds.
        mode = "reduce-overhead" if source.device.type == "cuda" else "default"
        method.compiled_loss = torch.compile(method.loss, mode=mode)
    first = 1
    if method.settings is not None:
        # Settings do not build on each other: stage 2 solves the chosen one alone.
        epochs, first = (method.settings, 1) if stage == 1 else (epochs, epochs)
    if saved is not None:
        method.load_state_dict(saved["model"])
        for name, optimiser in optimisers.items():
            optimiser.load_state_dict(saved["optimisers"][name])
        scheduler.load_state_dict(saved["scheduler"])
        dummy.param_groups[0]["lr"] = saved["lr"]
        checkpoint.set_random_state(saved["random"], source.device, data.generators)
        first = saved["epoch"] + 1
    # Stage 2's own validation score drives its schedule as released; under replay nobody looks at it.
    scored = stage == 1 or training.stage2_schedule == "plateau"
    written = time.monotonic()
    for epoch in range(first, epochs + 1):
        started = time.monotonic()
        lr = (
            progress.lr_of(epoch)
            if stage == 2 and training.stage2_schedule == "replay"
            else dummy.param_groups[0]["lr"]
        )
        for optimiser in optimisers.values():
            for group in optimiser.param_groups:
                group["lr"] = lr
        method.setting = epoch
        loss = float(method.epoch(data, optimisers, training))
        if not np.isfinite(loss):
            raise AvzslError(f"training diverged: loss {loss} in stage {stage}, epoch {epoch}; lower training.lr")
        row: dict[str, Any] = {
            "stage": stage,
            "epoch": epoch,
            "lr": lr,
            "loss": loss,
            "selected": stage == 2 and epoch == epochs,
        }
        if scored:
            scores, beta = validate(method, source, training)
            hm = scores.hm or 0.0
            row |= {"seen": scores.seen, "unseen": scores.unseen, "hm": hm, "zsl": scores.zsl, "beta": scores.beta}
            scheduler.step(hm)
            # The first of equal epochs wins, except that nothing yet (0) is replaced by any later epoch.
            if stage == 1 and (hm > progress.best or not progress.best):
                progress.epoch, progress.best, progress.beta = epoch, hm, beta
        row["seconds"] = time.monotonic() - started
        progress.history.append(row)
        ticker.advance()
        if watch is not None:
            watch(row)
        if stage == 1 and epoch == 1 and watch is not None and method.settings is None and epochs > 1:
            logger.info(
                "an epoch takes %.1f s: at most %.1f minutes for two stages of up to %d epochs",
                row["seconds"], 2 * epochs * row["seconds"] / 60, epochs,
            )  # fmt: skip
        # Never for settings of a closed form: they are no steps of one path.
        patience = training.stop_epochs if stage == 1 and method.settings is None else None
        if patience is not None and epoch - progress.epoch >= patience:
            break
        if epoch < epochs and time.monotonic() - written >= training.checkpoint_seconds:
            checkpoint.save(
                job.checkpoint,
                job.fingerprint,
                {
                    "stage": stage,
                    "epoch": epoch,
                    "progress": vars(progress),
                    "model": method.state_dict(),
                    "optimisers": {name: optimiser.state_dict() for name, optimiser in optimisers.items()},
                    "scheduler": scheduler.state_dict(),
                    "lr": dummy.param_groups[0]["lr"],
                    "random": checkpoint.random_state(source.device, data.generators),
                },
            )
            written = time.monotonic()
    return method
