"""Several seeds in one pass: each run is the one that it would have been alone, whoever trains it."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from avzsl.benchmark import assemble
from avzsl.benchmark.synthetic import SyntheticFiles, small, write
from avzsl.config.load import SHIPPED, Benchmark, Method
from avzsl.config.methods import MethodConfig, Overrides, TrainingConfig
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.errors import AvzslError
from avzsl.contracts.schemas import HISTORY
from avzsl.contracts.tables import read_table
from avzsl.methods import Dims, build
from avzsl.training import together
from avzsl.training.run import run
from avzsl.training.together import why_not

torch.set_num_threads(1)
TRAINING = TrainingConfig(epochs=3, batches_per_epoch=4, batch_size=16, precision="float64", weight_decay=1e-4)
# Through the whole protocol; the others of plain steps a few steps long in test_seeds.py.
PLAIN = ["avca", "cjme"]
SEEDS = (0, 1, 5)


def method(name: str, training: TrainingConfig = TRAINING, **options: Any) -> Method:
    config = MethodConfig.model_validate(yaml.safe_load((SHIPPED / "methods" / f"{name}.yaml").read_text()))
    return Method(name, config, dict(config.options) | options, training)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SyntheticFiles]:
    folder = tmp_path_factory.mktemp("toy")
    counts, vectors = small((8, 4, 4), dim=20)
    files = write(folder / "in", counts, vectors, noise=0.3, dims=(24, 20))
    assemble(files.split, files.pack, [], files.embeddings, folder / "benchmark")
    return folder / "benchmark", files


def go(
    toy: tuple[Path, SyntheticFiles],
    folder: Path,
    what: Method,
    seed: int,
    most: int | None = None,
    preset: str = "corrected",
) -> dict[str, Any]:
    place = Benchmark("toy", "toy", "default", "synthetic", preset, (what.name,), SEEDS, Overrides())  # type: ignore[arg-type]
    benchmark, files = toy
    run(
        benchmark, files.pack[0], files.embeddings, what, place, seed, folder / f"seed-{seed}", device="cpu", threads=1,
        together=[(s, folder / f"seed-{s}") for s in SEEDS], most_together=most,
    )  # fmt: skip
    return json.loads((folder / f"seed-{seed}" / "run.json").read_text())


class Count:
    """Counts the passes, and with how many seeds each began."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        stage = together._stage

        def counted(team: list[Any], *rest: Any) -> None:
            self.sizes.append(len(team))
            stage(team, *rest)

        monkeypatch.setattr(together, "_stage", counted)


def same(one: Path, other: Path) -> None:
    """Compare two runs: everything but the times."""
    histories = [read_table(folder / "history.parquet", HISTORY).drop(columns="seconds") for folder in (one, other)]
    assert len(histories[0]) == len(histories[1])
    for column in histories[0]:
        np.testing.assert_allclose(
            histories[0][column].to_numpy(float), histories[1][column].to_numpy(float), rtol=1e-6, atol=1e-7
        )
    for name in ("model", "scores"):
        arrays, others = (read_arrays(folder / f"{name}.safetensors")[0] for folder in (one, other))
        for key, value in arrays.items():
            np.testing.assert_allclose(others[key], value, rtol=1e-5, atol=1e-6, err_msg=key)
    rows = [json.loads((folder / "run.json").read_text()) for folder in (one, other)]
    assert rows[0]["config"] == rows[1]["config"]
    assert rows[0]["config_hash"] == rows[1]["config_hash"]
    for key in ("hm", "zsl", "beta", "epoch", "per_class"):
        assert rows[0][key] == pytest.approx(rows[1][key], rel=1e-5), key


@pytest.mark.parametrize("name", PLAIN)
def test_each_seed_is_its_single_run(
    name: str, toy: tuple[Path, SyntheticFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = Count(monkeypatch)
    for seed in SEEDS:
        go(toy, tmp_path / "alone", method(name), seed)
    assert not count.sizes, "on a CPU one after the other, unless the configuration says so"
    for seed in (1, 0, 5):
        go(toy, tmp_path / "together", method(name), seed, most=8)
        assert count.sizes == [3, 3], "the first job trains all, the others find their checkpoints"
    for seed in SEEDS:
        same(tmp_path / "alone" / f"seed-{seed}", tmp_path / "together" / f"seed-{seed}")
        assert not (tmp_path / "together" / f"seed-{seed}" / "checkpoint.pt").exists()


def test_only_what_has_no_run_yet_is_trained(
    toy: tuple[Path, SyntheticFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = Count(monkeypatch)
    what = method("avca")
    go(toy, tmp_path, what, 1)
    before = (tmp_path / "seed-1" / "run.json").read_bytes()
    go(toy, tmp_path, what, 0, most=8)
    assert count.sizes == [2, 2], "a seed that has its run is left alone"
    assert (tmp_path / "seed-1" / "run.json").read_bytes() == before
    count.sizes.clear()
    other = method("avca", TRAINING.model_copy(update={"lr": 2e-3}))
    go(toy, tmp_path, other, 5, most=2)
    assert count.sizes == [2, 2], "of other settings there is none yet; no more than asked for"


def test_a_killed_pass_goes_on(
    toy: tuple[Path, SyntheticFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = method("avca", TRAINING.model_copy(update={"checkpoint_seconds": 0.0, "stage2_schedule": "plateau"}))
    for seed in SEEDS:
        go(toy, tmp_path / "whole", what, seed)
    for when in (1, 4):
        folder, calls = tmp_path / f"killed-{when}", [0]
        end_epoch = together.Course.end_epoch

        def killed(
            self: Any, epoch: int, *rest: Any, calls: list[int] = calls, end: Any = end_epoch, when: int = when
        ) -> Any:
            calls[0] += 1
            if calls[0] == 3 * when + 1:
                raise KeyboardInterrupt
            return end(self, epoch, *rest)

        monkeypatch.setattr(together.Course, "end_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            go(toy, folder, what, 0, most=8)
        monkeypatch.undo()
        # One goes on alone, the others together.
        for seed, most in ((5, None), (0, 8), (1, 8)):
            go(toy, folder, what, seed, most)
        for seed in SEEDS:
            same(tmp_path / "whole" / f"seed-{seed}", folder / f"seed-{seed}")


def test_a_seed_that_diverges_is_its_own_jobs_affair(
    toy: tuple[Path, SyntheticFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = method("avca")
    for seed in (0, 1):
        go(toy, tmp_path / "alone", what, seed)
    begin = together._Member.begin

    def poisoned(self: Any, stage: int) -> Any:
        course = begin(self, stage)
        if self.job.seed == 5:
            next(course.method.parameters()).data.fill_(math.inf)
        return course

    monkeypatch.setattr(together._Member, "begin", poisoned)
    for seed in (0, 1):
        go(toy, tmp_path / "together", what, seed, most=8)
        same(tmp_path / "alone" / f"seed-{seed}", tmp_path / "together" / f"seed-{seed}")
    assert not (tmp_path / "together" / "seed-5" / "checkpoint.pt").exists()


def test_two_jobs_at_once_train_once(
    toy: tuple[Path, SyntheticFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = Count(monkeypatch)
    faults: list[BaseException] = []

    def job(seed: int) -> None:
        try:
            go(toy, tmp_path, method("avca"), seed, most=8)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=job, args=(seed,)) for seed in SEEDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert count.sizes == [3, 3]


def test_who_is_not_trained_in_one_pass() -> None:
    def of(module: str, training: dict[str, Any] | None = None, **options: Any) -> str | None:
        return why_not(build(module, Dims(8, 8, 8), options), TRAINING.model_copy(update=training or {}))

    assert of("avca") is None
    for module in ("tcaf", "clipclap", "fvaegan", "ridge", "eszsl"):
        assert "not plain steps" in str(of(module)), module
    assert "not plain steps" in str(of("avca", statistics_passes=True))
    assert "dropout is PyTorch's own" in str(of("ranking", dropout=0.2))
    for key, value in (("search_trials", 3), ("compile", True), ("precision", "bfloat16")):
        assert f"{value if key == 'precision' else key} is set" == of("avca", {key: value})


def test_too_little_memory_for_all(
    toy: tuple[Path, SyntheticFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(together, "_stage", full)
    assert go(toy, tmp_path, method("avca"), 0, most=8)["epoch"] >= 1
    assert "does not hold 3 seeds: one after the other" in caplog.text

    def lost(*_: Any) -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(together, "_stage", lost)
    with pytest.raises(AvzslError, match="the GPU was lost while training"):
        go(toy, tmp_path, method("avca"), 1, most=8)
