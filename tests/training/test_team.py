"""One pass of several seeds, of a method whose validation scores are told beforehand: who trains when, and what is left."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from avzsl.benchmark import BenchmarkData, assemble, load
from avzsl.benchmark.synthetic import small, write
from avzsl.config.methods import TrainingConfig
from avzsl.methods import Batch, Dims, Method, build
from avzsl.methods.blocks import layer
from avzsl.runtime import checkpoint
from avzsl.runtime.accelerator import Accelerator
from avzsl.runtime.progress import progress
from avzsl.training import protocol
from avzsl.training import run as runs
from avzsl.training.protocol import Job, Progress, train
from avzsl.training.sampling import DeviceData
from avzsl.training.together import train_together

torch.set_num_threads(1)
CPU = torch.device("cpu")
TRAINING = TrainingConfig(
    epochs=4, batches_per_epoch=3, batch_size=8, lr=0.01, weight_decay=0.01, patience=0, precision="float64", stop_epochs=2
).under("corrected")  # fmt: skip
# Validation HM of each epoch: seeds choose epochs 2, 1, 4 and 3, and the second stops after its third epoch.
PLANS = {0: [0.2, 0.6, 0.4, 0.6], 1: [0.8, 0.6, 0.4, 0.9], 2: [0.2, 0.2, 0.4, 0.6], 3: [0.2, 0.4, 0.8, 0.4]}


class Planned(Method):
    """Learns with dropout and batch norm; what it says of validation clips is planned."""

    def __init__(self, dims: Dims, plan: list[float], world: SimpleNamespace) -> None:
        super().__init__(dims, {})  # type: ignore[arg-type]
        self.negatives = world.negatives
        self.hidden, self.out = layer(dims.audio, 6, 0.3), torch.nn.Linear(6 + dims.visual, dims.text)
        self.plan, self.world = plan, world

    def points(self, clips: Any) -> Tensor:
        return self.out(torch.cat([self.hidden(clips.audio), clips.visual], -1))

    def loss(self, batch: Batch) -> Tensor:
        self.world.steps += 1
        assert len(batch.negative.labels) == (len(batch.positive.labels) if self.negatives else 0)
        scores = self.points(batch.positive) @ batch.classes.T
        loss = torch.nn.functional.cross_entropy(scores, batch.positive.labels)
        if self.negatives:
            loss = loss + (self.points(batch.negative) - batch.positive.text).square().mean().neg().exp()
        return loss

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        assert not self.training
        share = self.plan.pop(0)
        labels, seen = self.world.labels, self.world.seen
        d = torch.full((len(audio), len(classes)), 9.0)
        for row, label in enumerate(labels):
            right = int((labels[:row] == label).sum()) < share * int((labels == label).sum())
            other = next(c for c in range(len(classes)) if c != label and seen[c] == seen[label])
            d[row, label if right else other] = 1.0
        return {"both": d}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkData:
    folder = tmp_path_factory.mktemp("team")
    counts, vectors = small((5, 3, 3), clips=5)
    files = write(folder / "in", counts, vectors, dims=(7, 6))
    assemble(files.split, files.pack, [], files.embeddings, folder / "benchmark")
    return load(folder / "benchmark", files.pack[0], files.embeddings)


def jobs_of(
    data: BenchmarkData, folder: Path, seeds: list[int], negatives: bool = True, **changes: Any
) -> tuple[list[Job], SimpleNamespace]:
    source = DeviceData(data, CPU, "float64")
    members, seen = data.candidates(1)
    labels = np.searchsorted(members, data.subset("val_seen", "val_unseen").labels)
    world = SimpleNamespace(labels=labels, seen=seen, negatives=negatives, steps=0)
    training = TRAINING.model_copy(update=changes)
    folder.mkdir(exist_ok=True)

    def job(seed: int) -> Job:
        # One plan for both stages: the second is scored where its schedule asks for it.
        plan = [*PLANS[seed], *PLANS[seed]] if training.stage2_schedule == "plateau" else list(PLANS[seed])
        return Job(
            lambda: Planned(Dims(7, 6, 16), plan, world), source, training, seed, folder / f"{seed}.pt", f"{seed}"
        )

    return [job(seed) for seed in seeds], world


def alone(job: Job) -> tuple[Method, Progress]:
    with torch.random.fork_rng([]), progress("alone", 8, "epochs") as ticker:
        return train(job, ticker, lambda row: None)


def same(history: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    assert [set(row) for row in history] == [set(row) for row in other]
    for row, wanted in zip(history, other, strict=True):
        assert {**row, "seconds": 0, "loss": 0} == {**wanted, "seconds": 0, "loss": 0}
        assert row["loss"] == pytest.approx(wanted["loss"], rel=1e-9)


@pytest.mark.parametrize(
    "seeds,negatives,changes",
    [
        ([0, 1, 2, 3], True, {}),
        ([0, 1, 2, 3], False, {"stop_epochs": None, "weight_decay": 0.0}),
        ([3], True, {"lr": 0.1}),
    ],
)
def test_a_team_leaves_what_each_would_have_been_alone(data, tmp_path, seeds, negatives, changes):
    expected = [alone(job) for job in jobs_of(data, tmp_path / "alone", seeds, negatives, **changes)[0]]
    stopped = changes.get("stop_epochs", 2) is not None
    chosen = [{0: 2, 1: 1 if stopped else 4, 2: 4, 3: 3}[seed] for seed in seeds]
    assert [done.epoch for _, done in expected] == chosen
    team, world = jobs_of(data, tmp_path / "team", seeds, negatives, **changes)
    with torch.random.fork_rng([]):
        train_together(team, Accelerator(CPU), "toy")
    steps = world.steps
    for job, (method, done) in zip(team, expected, strict=True):
        saved = checkpoint.restore(job.checkpoint, job.fingerprint, CPU)
        assert saved is not None
        assert (saved["stage"], saved["epoch"]) == (2, done.epoch)
        same(saved["progress"]["history"], done.history)
        ours, progressed = alone(job)
        assert progressed.epoch == done.epoch and progressed.beta == done.beta
        for name, value in method.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-7, atol=1e-9)
    train_together(team, Accelerator(CPU), "toy")
    assert world.steps == steps, "who is at the end trains no more"


def test_a_team_that_was_stopped_goes_on_with_those_as_far(data, tmp_path, monkeypatch):
    seeds, slow = [0, 2, 3], {"checkpoint_seconds": 0.0, "stop_epochs": None, "stage2_schedule": "plateau"}
    expected = [alone(job) for job in jobs_of(data, tmp_path / "alone", seeds, **slow)[0]]
    for epochs in (1, 3, 5):  # the last in stage 2
        team, _ = jobs_of(data, tmp_path / f"{epochs}", seeds, **slow)
        original, ended = protocol.Course.end_epoch, []

        def end(self: Any, *rest: Any, ended: Any = ended, epochs: int = epochs, original: Any = original) -> Any:
            if len(ended) == 3 * epochs:
                raise KeyboardInterrupt
            ended.append(self)
            return original(self, *rest)

        monkeypatch.setattr(protocol.Course, "end_epoch", end)
        with torch.random.fork_rng([]), pytest.raises(KeyboardInterrupt):
            train_together(team, Accelerator(CPU), "toy")
        monkeypatch.undo()
        places = [checkpoint.restore(job.checkpoint, job.fingerprint, CPU) for job in team]
        assert all(p is not None for p in places)
        with torch.random.fork_rng([]):
            alone(team[1])
            train_together([team[0], *team[1:]], Accelerator(CPU), "toy")
        for job, (method, done) in zip(team, expected, strict=True):
            if job is team[1]:
                continue
            ours, progressed = alone(job)
            same(progressed.history, done.history)
            for name, value in method.state_dict().items():
                torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-7, atol=1e-9)


def test_no_checkpoint_before_its_time(data, tmp_path, monkeypatch):
    team, _ = jobs_of(data, tmp_path / "team", [0, 1], checkpoint_seconds=1000.0)
    monkeypatch.setattr(protocol.Course, "save", lambda self, *_: pytest.fail("saved") if self.stage == 1 else None)
    with torch.random.fork_rng([]):
        train_together(team, Accelerator(CPU), "toy")


@pytest.mark.parametrize("now,due", [(159.9, False), (160.0, True), (170.0, True)])
def test_a_checkpoint_is_due_after_its_seconds(monkeypatch, now, due):
    monkeypatch.setattr(protocol.time, "monotonic", lambda: now)
    course = SimpleNamespace(
        written=100.0, job=SimpleNamespace(training=TRAINING.model_copy(update={"checkpoint_seconds": 60.0}))
    )
    assert protocol.Course.due(course) is due  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "kind,most,method,size",
    [
        ("cpu", 1, "avca", 0),        ("cuda", None, "avca", 8), ("cpu", None, "avca", 0), ("cuda", 3, "avca", 3), ("cpu", 2, "avca", 2),
        ("cuda", 1, "avca", 0), ("cuda", None, "ridge", 0), ("cuda", 20, "avca", 10),
    ],
)  # fmt: skip
def test_how_many_seeds_are_a_team(tmp_path, monkeypatch, kind, most, method, size):
    sizes: list[int] = []
    monkeypatch.setattr(runs, "train_together", lambda team, *_: sizes.append(len(team)))
    monkeypatch.setattr(runs, "accelerator", lambda place: None)
    team: Any = [SimpleNamespace(training=TRAINING, checkpoint=tmp_path / "a" / "c.pt")] * 10
    runs._train_with(team, most, build(method, Dims(8, 8, 8), {}), torch.device(kind), "toy")
    assert sizes == ([size] if size else [])
    runs._train_with(team[:1], most, build(method, Dims(8, 8, 8), {}), torch.device(kind), "toy")
    assert sizes == ([size, 1] if size else [])
