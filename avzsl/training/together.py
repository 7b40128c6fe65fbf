"""Several seeds of a method through the two stages in one pass, each to the checkpoint at its end.

The checkpoint is the one that a run writes for itself, so that each seed's own job then goes on from it as from any other:
it has nothing left to train, and its files, its row and what makes it run again are the same. Dropout is drawn on a CPU as
the single run draws it; on a GPU all seeds draw from one stream, inside the recorded step.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avzsl.config.methods import TrainingConfig
from avzsl.methods import Batch, Clips, Method
from avzsl.methods.blocks import Asked, dropouts_of
from avzsl.runtime import checkpoint
from avzsl.runtime.accelerator import Accelerator
from avzsl.runtime.progress import progress
from avzsl.training.protocol import Course, Job, Progress
from avzsl.training.seeds import Seeds

logger = logging.getLogger(__name__)

# Seeds that a GPU trains in one pass where the configuration leaves it open.
ON_A_GPU = 8


def why_not(method: Method, training: TrainingConfig) -> str | None:
    """Return why the seeds of a method are trained one after the other, None if one pass does."""
    if not method.plain or method.inputs != "averages" or method.settings is not None:
        return "its steps are not plain steps on averages"
    if any(isinstance(module, nn.Dropout) and module.p for module in method.modules()):
        return "its dropout is PyTorch's own, whose masks cannot be drawn for a seed"
    for key, plain in (("search_trials", 0), ("compile", False)):
        if getattr(training, key) != plain:
            return f"{key} is set"
    return "bfloat16 is set" if training.precision == "bfloat16" else None


def train_together(jobs: Sequence[Job], card: Accelerator, label: str) -> None:
    """Train the first job's seed, and with it the others that are as far, and leave every one's checkpoint at its end.

    A seed whose loss diverges is left to its own job, which says so. Does nothing where the first is at its end.
    """
    saved = [checkpoint.restore(job.checkpoint, job.fingerprint, job.source.device) for job in jobs]
    if _at_end(saved[0]):
        return
    team = [_Member(job, state) for job, state in zip(jobs, saved, strict=True) if _place(state) == _place(saved[0])]
    stage, _ = _place(saved[0])
    total = 2 * jobs[0].training.epochs
    name = f"{label} seeds {', '.join(str(member.job.seed) for member in team)}"
    with progress(name, total, "epochs") as ticker:
        for number in range(max(stage, 1), 3):
            _stage(team, number, card, ticker.advance)
            team = [member for member in team if member.course is not None]
            for member in team:
                member.saved = None
                if number == 1:
                    member.progress.select()
        ticker.expect(ticker.done)


class _Member:
    """One seed on its way."""

    def __init__(self, job: Job, saved: dict[str, Any] | None) -> None:
        self.job, self.saved = job, saved
        self.progress = Progress(**saved["progress"]) if saved else Progress()
        self.course: Course | None = None  # None: not begun, or given up
        self.random = torch.Generator()  # what dropout on a CPU draws from
        self.over = False

    def begin(self, stage: int) -> Course:
        """Begin a stage, or go on in it."""
        epochs = self.job.training.epochs if stage == 1 else self.progress.epoch
        self.course = Course(self.job, stage, epochs, self.progress, self.saved)
        self.random.set_state(torch.get_rng_state())
        self.over = False
        return self.course

    def save(self, epoch: int) -> None:
        """Write the seed's checkpoint."""
        assert self.course is not None
        random = checkpoint.random_state(self.job.source.device, self.course.data.generators)
        self.course.save(epoch, random | {"cpu": self.random.get_state()})


def _place(saved: dict[str, Any] | None) -> tuple[int, int]:
    return (0, 0) if saved is None else (saved["stage"], saved["epoch"])


def _at_end(saved: dict[str, Any] | None) -> bool:
    return saved is not None and saved["stage"] == 2 and saved["epoch"] >= saved["progress"]["epoch"]


def _stage(team: list[_Member], stage: int, card: Accelerator, advance: Callable[[], None]) -> None:
    """Train one stage of all members; who diverges is without a course at its end."""
    courses = [member.begin(stage) for member in team]
    training, source = team[0].job.training, team[0].job.source
    methods = [course.method.train() for course in courses]
    seeds = Seeds(methods, training.lr, card, training.weight_decay)
    for number, course in enumerate(courses):
        seeds.optimiser_from(number, course.method, course.optimisers["adam"])
    # The clips of a stage are the same for every seed, in one order; what they draw of them is not.
    data, sizes = courses[0].data, (training.batches_per_epoch, training.batch_size)
    drawn = torch.zeros((len(team), 2, training.batch_size), dtype=torch.long, device=source.device)

    def side(positions: Tensor) -> Clips:
        rows, labels = data.rows[positions], data.labels[positions]
        return Clips(source.audio[rows], source.visual[rows], data.classes[labels], labels)

    def batch() -> Batch:
        negative = drawn[:, 1] if methods[0].negatives else drawn[:, 1, :0]
        return Batch(side(drawn[:, 0]), side(negative), data.classes.expand(len(team), *data.classes.shape))

    asked = _asked(courses[0].method, batch()) if source.device.type == "cpu" else None

    def masks() -> list[Tensor] | None:
        if asked is None:
            return None
        by_seed = [[d.mask(shape, dtype, member.random) for d, shape, dtype in asked] for member in team]
        return [torch.stack(column) for column in zip(*by_seed, strict=True)]

    step = seeds.recorded(batch, masks)
    for epoch in range(courses[0].first, max(course.epochs for course in courses) + 1):
        started = time.monotonic()
        rates = [0.0 if member.over else course.lr(epoch) for member, course in zip(team, courses, strict=True)]
        seeds.lr.copy_(torch.tensor(rates, dtype=seeds.lr.dtype))
        positions = torch.stack([torch.stack(course.data.draw(sizes), 1) for course in courses], 1)
        total = torch.zeros(len(team), device=source.device, dtype=seeds.lr.dtype)
        methods[0].train()  # the one whose forward pass serves all; scoring has left it in evaluation mode
        for one in positions:
            drawn.copy_(one)
            total += step()
        losses = (total / training.batches_per_epoch).tolist()
        for number, (member, course, loss) in enumerate(zip(team, courses, losses, strict=True)):
            if member.over:
                continue
            if not np.isfinite(loss):
                member.course, member.over = None, True
                continue
            seeds.into(number, course.method)
            course.end_epoch(epoch, rates[number], loss, started)
            member.over = course.ends(epoch)
            if (member.over and stage == 2) or (course.due() and not member.over):
                seeds.optimiser_into(number, course.method, course.optimisers["adam"])
                member.save(epoch)
        advance()
        if all(member.over for member in team):
            return


def _asked(method: Method, batch: Batch) -> list[Asked]:
    """Return the dropouts that a step of one seed asks for, in order; the method's statistics stay as they are."""
    before = {name: value.clone() for name, value in method.state_dict().items()}

    def first(clips: Clips) -> Clips:
        return replace(clips, **{name: value[0] for name, value in vars(clips).items()})

    with torch.no_grad(), dropouts_of() as asked:
        method.loss(Batch(first(batch.positive), first(batch.negative), batch.classes[0]))
    method.load_state_dict(before)
    return asked
