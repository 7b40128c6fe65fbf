"""Runs on batches of sequences: they learn, go on where they stopped, and do not depend on what is loaded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from avzsl.benchmark import load
from avzsl.benchmark.synthetic import SyntheticFiles, small, write
from avzsl.benchmark.synthetic_steps import write_steps
from avzsl.config.load import Benchmark, Method
from avzsl.config.methods import MethodConfig, Overrides, TrainingConfig
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.errors import ConfigError, DataError
from avzsl.contracts.streams import map_streams
from avzsl.methods import Clips, Steps
from avzsl.methods import Method as MethodBase
from avzsl.methods.blocks import pairwise
from avzsl.training.run import run
from avzsl.training.sampling import BalancedSet, DeviceData
from tests.training.toy import write_toy

torch.set_num_threads(1)
CPU = torch.device("cpu")


class Middles(MethodBase[Steps]):
    """A linear map of each clip's mean step: enough to see what batches hold."""

    inputs = "sequences"
    negatives = False
    seen: ClassVar[list[Any]] = []

    def __init__(self, dims: Any, options: Any) -> None:
        super().__init__(dims, options)
        self.map = torch.nn.Linear(dims.audio + dims.visual, dims.text)

    def points(self, audio: Steps, visual: Steps) -> Tensor:
        return self.map(torch.cat([s.values.sum(1) / s.lengths[:, None] for s in (audio, visual)], 1))

    def loss(self, batch: Any) -> Tensor:
        assert len(batch.negative.labels) == 0
        self.seen.append((batch.positive.visual.values.double().sum().item(), batch.positive.visual.lengths.tolist()))
        return (self.points(batch.positive.audio, batch.positive.visual) - batch.positive.text).square().sum(1).mean()

    def distances(self, audio: Steps, visual: Steps, classes: Tensor) -> dict[str, Tensor]:
        return {"both": pairwise(self.points(audio, visual), classes)}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SyntheticFiles, Path]:
    return write_toy(tmp_path_factory.mktemp("sequences"), 0.2, (12, 16))


QUICK = {"epochs": 3, "batches_per_epoch": 10, "batch_size": 16, "checkpoint_seconds": 0.0, "lr": 0.01}


def go(
    toy: Any, out: Path, monkeypatch: pytest.MonkeyPatch, inputs: str = "sequences", steps: bool = True, **training: Any
) -> dict[str, Any]:
    monkeypatch.setattr(
        sys.modules["avzsl.training.run"], "build", lambda module, dims, options: Middles(dims, options)
    )
    folder, files, path = toy
    config = MethodConfig.model_validate({"title": "m", "module": "m", "source": "s", "inputs": inputs})
    method = Method("m", config, {}, TrainingConfig(**{**QUICK, **training}))
    benchmark = Benchmark("toy", "toy", "default", "synthetic", "corrected", ("m",), (0,), Overrides())  # type: ignore[arg-type]
    run(
        folder,
        files.pack[0],
        files.embeddings,
        method,
        benchmark,
        0,
        out,
        device="cpu",
        threads=1,
        steps=path if steps else None,
    )
    return json.loads((out / "run.json").read_text())


def test_a_run_on_sequences_learns(toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = go(toy, tmp_path, monkeypatch, epochs=8, batches_per_epoch=40)
    assert row["zsl"] > 1.8 * row["chance"]["zsl"]


@pytest.mark.parametrize("stop", [1, 2, 4])
def test_a_stopped_run_on_crops_continues_to_the_identical_result(
    toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    keys = {"sequence_length": "fixed", "train_steps": 4, "test_steps": 6}
    Middles.seen.clear()
    go(toy, tmp_path / "whole", monkeypatch, **keys)
    batches = list(Middles.seen)
    assert len({tuple(lengths) for _, lengths in batches}) > 1
    Middles.seen.clear()
    original, calls = Middles.epoch, 0

    def failing(self: Any, *arguments: Any) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > stop:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(Middles, "epoch", failing)
    with pytest.raises(KeyboardInterrupt):
        go(toy, tmp_path / "stopped", monkeypatch, **keys)
    monkeypatch.setattr(Middles, "epoch", original)
    go(toy, tmp_path / "stopped", monkeypatch, **keys)
    assert Middles.seen == batches
    a, b = (read_arrays(tmp_path / name / "scores.safetensors")[0]["distances"] for name in ("whole", "stopped"))
    assert np.array_equal(a, b)


def test_crops_do_not_depend_on_what_is_loaded(toy: Any) -> None:
    """The same clips and crops whether or not negatives are gathered, and whichever batch is taken first."""
    folder, files, path = toy
    source = DeviceData(load(folder, files.pack[0], files.embeddings, steps=path), CPU, "float32")
    subset = source.data.subset("train")
    cropper = source.cropper(TrainingConfig(sequence_length="fixed", train_steps=4), None, subset)

    def values(negatives: bool) -> list[Tensor]:
        batches = list(BalancedSet(source, subset, 3, cropper, negatives).batches(5, 8))
        assert {len(batch.negative.labels) for batch in batches} == {8 if negatives else 0}
        return [batch.positive.visual.values for batch in batches]

    for a, b in zip(values(False), values(True), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    cut = [
        clips.audio.lengths.max()
        for batch in BalancedSet(source, subset, 3, cropper).batches(5, 8)
        for clips in [batch.positive]
    ]
    assert isinstance(batch := next(iter(BalancedSet(source, subset, 3, cropper).batches(1, 8))).positive, Clips)
    assert batch.visual.times.dtype == torch.float64
    assert max(cut) <= 4


def test_bad_input(toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no file of steps was given"):
        go(toy, tmp_path / "a", monkeypatch, steps=False)
    with pytest.raises(ConfigError, match="its module takes sequences, its YAML says averages"):
        go(toy, tmp_path / "b", monkeypatch, inputs="averages")
    folder, files, path = toy
    counts, vectors = small((10, 4, 4), dim=20, seed=1, clips=9)
    other = write(tmp_path / "other", counts, vectors, dims=(12, 16))
    wrong = write_steps(other, {"audio": (1, 2), "visual": (1, 2)})
    with pytest.raises(DataError, match="was not made of the same shards"):
        load(folder, files.pack[0], files.embeddings, steps=wrong)
    with pytest.raises(DataError, match="does not exist"):
        load(folder, files.pack[0], files.embeddings, steps=tmp_path / "nothing")
    streams, _ = map_streams(path)
    assert isinstance(streams["audio"].values, np.memmap)
