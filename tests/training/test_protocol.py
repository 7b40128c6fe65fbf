"""The two stages as a method sees them: what it is given, from which seed, in which mode, and which epoch is kept."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from avzsl.benchmark import assemble, load
from avzsl.benchmark.synthetic import small, write
from avzsl.config.methods import TrainingConfig
from avzsl.contracts.schemas import SPLIT
from avzsl.contracts.tables import read_table
from avzsl.methods import Dims, Method
from avzsl.runtime.progress import progress
from avzsl.training.evaluate import embeddings
from avzsl.training.protocol import Job, Progress, train
from avzsl.training.sampling import DeviceData

TRAINING = TrainingConfig(
    epochs=4, batches_per_epoch=3, batch_size=8, lr=0.01, patience=1, checkpoint_seconds=1000
).under("corrected")


class Spy(Method):
    """Says nothing of the clips but what it is told to, and writes down what it is given."""

    def __init__(self, dims: Dims, log: dict, hm: list[float]) -> None:
        super().__init__(dims, {})
        self.weight = torch.nn.Parameter(torch.randn(3))
        log.setdefault("start", []).append(self.weight.detach().clone())
        self.log, self.hm = log, hm

    def epoch(self, data, optimisers, training):
        self.train()
        rows = [tuple(row) for block in data.blocks() for row in block.audio.tolist()]
        self.log.setdefault("clips", []).append(Counter(rows))
        self.log.setdefault("lr", []).append({g["lr"] for o in optimisers.values() for g in o.param_groups})
        self.log.setdefault("drawn", []).append(
            torch.rand(3).tolist() + next(iter(data.batches(1, 8))).positive.labels.tolist()
        )
        return torch.zeros(())

    def distances(self, audio, visual, classes):
        self.log.setdefault("training", []).append(self.training)
        share = self.hm[self.setting - 1]
        # Right for the first `share` of all clips of each class, wrong for the others.
        labels, seen = self.log["labels"], self.log["seen"]
        d = torch.full((len(audio), len(classes)), 9.0)
        count: Counter = Counter()
        total = Counter(labels.tolist())
        for row, label in enumerate(labels.tolist()):
            right = count[label] < share * total[label]
            count[label] += 1
            others = [c for c in range(len(classes)) if c != label and seen[c] == seen[label]]
            d[row, label if right else others[0]] = 1.0
        return {"both": d}

    def embed(self, audio, visual, classes):
        self.log.setdefault("training", []).append(self.training)
        return {"both": audio, "classes": classes}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("protocol")
    counts, vectors = small((5, 3, 3), clips=8)
    files = write(folder / "in", counts, vectors)
    assemble(files.split, files.pack, [], files.embeddings, folder / "benchmark")
    return load(folder / "benchmark", files.pack[0], files.embeddings), read_table(files.split / "split.parquet", SPLIT)


def go(
    world, path: Path, hm: list[float], seed: int = 0, training: TrainingConfig = TRAINING
) -> tuple[dict, Progress, Method]:
    data, _ = world
    source = DeviceData(data, torch.device("cpu"), "float32")
    members, seen = data.candidates(1)
    labels = np.searchsorted(members, data.subset("val_seen", "val_unseen").labels)
    log: dict = {"labels": labels, "seen": seen}
    job = Job(lambda: Spy(Dims(32, 32, 16), log, hm), source, training, seed, path / "checkpoint.pt", "mark")
    with progress("spy", 8, "epochs") as ticker:
        method, done = train(job, ticker, lambda row: None)
    return log, done, method


@pytest.mark.parametrize(
    ("hm", "kept"),
    [
        ([0.2, 0.8, 0.8, 0.4], 2),  # the first of equal epochs
        ([0.8, 0.8, 0.8, 0.8], 1),
        ([0.2, 0.4, 0.6, 0.8], 4),
        ([0.8, 0.6, 0.4, 0.2], 1),
        ([0.0, 0.0, 0.0, 0.0], 4),  # nothing yet is replaced by any later epoch
        ([0.0, 0.0, 0.4, 0.0], 3),
    ],
)
def test_which_epoch_is_kept_and_how_long_stage_two_is(world, tmp_path, hm, kept):
    _, done, _ = go(world, tmp_path, hm)
    assert done.epoch == kept
    assert [(row["stage"], row["epoch"]) for row in done.history] == [(1, e) for e in (1, 2, 3, 4)] + [
        (2, e + 1) for e in range(kept)
    ]
    assert [row["epoch"] for row in done.history if row["selected"]] == [kept, kept]
    scores = [row["hm"] for row in done.history if row["stage"] == 1]
    assert all(0 <= row["seconds"] < 60 for row in done.history)
    assert [a < b for a, b in itertools.pairwise(scores)] == [a < b for a, b in itertools.pairwise(hm)]


def test_stage_one_trains_on_train_and_stage_two_on_both_validation_subsets_too(world, tmp_path):
    data, split = world
    log, done, _ = go(world, tmp_path, [0.2, 0.8, 0.4, 0.4])
    rows = {subset: Counter(tuple(r) for r in data.audio[data.parts[subset].rows].tolist()) for subset in data.parts}
    assert {subset: sum(count.values()) for subset, count in rows.items()} == split["subset"].value_counts().to_dict()
    first, second = log["clips"][:4], log["clips"][4:]
    assert len(second) == done.epoch == 2
    assert all(clips == rows["train"] for clips in first)
    assert all(clips == rows["train"] + rows["val_seen"] + rows["val_unseen"] for clips in second)


def test_both_stages_start_from_the_seed(world, tmp_path):
    logs = [go(world, tmp_path / str(i), [0.5, 0.4, 0.3, 0.2], seed)[0] for i, seed in enumerate((0, 0, 1))]
    for log in logs:
        assert torch.equal(*log["start"])
        assert log["drawn"][0][:3] == log["drawn"][4][:3]
    assert torch.equal(logs[0]["start"][0], logs[1]["start"][0])
    assert logs[0]["drawn"] == logs[1]["drawn"]
    # The seed decides where the parameters start, and apart from that what is drawn.
    assert not torch.equal(logs[0]["start"][0], logs[2]["start"][0])
    assert logs[0]["drawn"][0][:3] != logs[2]["drawn"][0][:3]
    assert logs[0]["drawn"][0][3:] != logs[2]["drawn"][0][3:]


def test_evaluation_is_in_evaluation_mode(world, tmp_path):
    data, _ = world
    log, _, method = go(world, tmp_path, [0.5, 0.4, 0.3, 0.2])
    method.train()
    source, members = DeviceData(data, torch.device("cpu"), "float32"), data.candidates(1)[0]
    embeddings(method, source, data.subset("val_seen"), members, TRAINING)
    assert log["training"] and not any(log["training"])


def test_the_learning_rate_drops_when_the_score_does_not_rise(world, tmp_path):
    training = TRAINING.model_copy(update={"epochs": 6, "patience": 1, "lr_factor": 0.1})
    log, done, _ = go(world, tmp_path, [0.2, 0.4, 0.4, 0.2, 0.2, 0.8], training=training)
    want = [0.01, 0.01, 0.01, 0.01, 0.001, 0.001]
    assert [row["lr"] for row in done.history] == pytest.approx(want * 2)
    assert [lr for used in log["lr"] for lr in used] == pytest.approx(want * 2)
