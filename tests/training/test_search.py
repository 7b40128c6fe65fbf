"""The search: what is tried, what is chosen, and that test clips have no say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avzsl.benchmark import assemble
from avzsl.benchmark.synthetic import SyntheticFiles, small, write
from avzsl.config.files import parse
from avzsl.config.load import SHIPPED, Benchmark, Method
from avzsl.config.methods import MethodConfig, Overrides, TrainingConfig
from avzsl.contracts.arrays import read_arrays, write_arrays
from avzsl.contracts.errors import ConfigError
from avzsl.training.run import run
from avzsl.training.search import SPACE, trials

TRAINING = TrainingConfig(epochs=3, batches_per_epoch=4, batch_size=16, search_trials=4)


def method(name: str = "devise", search: dict | None = None, **training: object) -> Method:
    config = parse(SHIPPED / "methods" / f"{name}.yaml", MethodConfig)
    config = config.model_copy(update={"search": search or {}})
    return Method(name, config, dict(config.options), TRAINING.model_copy(update=training))


def go(files: SyntheticFiles, folder: Path, out: Path, what: Method) -> dict:
    benchmark = Benchmark("toy", "toy", "default", "synthetic", "corrected", ("x",), (0,), Overrides())
    run(folder, files.pack[0], files.embeddings, what, benchmark, 0, out, device="cpu")
    return json.loads((out / "run.json").read_text())


def toy(folder: Path, spoil_test: bool = False) -> tuple[SyntheticFiles, Path]:
    counts, vectors = small((6, 3, 3), clips=5, dim=8)
    files = write(folder / "in", counts, vectors, dims=(10, 12), noise=0.2)
    if spoil_test:
        arrays, header = read_arrays(files.pack[0])
        test = np.asarray([clip.startswith("test") for clip in header["clip_ids"]])
        for array in arrays.values():
            array[test] = np.random.default_rng(1).random(array[test].shape)
        write_arrays(files.pack[0], arrays, header)
    assemble(files.split, files.pack, [], files.embeddings, folder / "benchmark")
    return files, folder / "benchmark"


def test_the_best_trial_on_validation_is_run(tmp_path):
    files, folder = toy(tmp_path)
    # At this learning rate nothing is learnt.
    what = method(search={"training.lr": [1e-12, 0.01], "margin": [0.1, 0.2]})
    row = go(files, folder, tmp_path / "run", what)
    log = row["search"]
    assert len(log) == 4
    assert log[0]["changes"] == {}
    assert [trial["trial"] for trial in log] == [0, 1, 2, 3] and all(0 < trial["seconds"] < 100 for trial in log)
    best = max(log, key=lambda trial: trial["hm"])
    for key, value in best["changes"].items():
        place = row["config"]["training"] if key.startswith("training.") else row["config"]["options"]
        assert place[key.removeprefix("training.")] == value
    assert best["changes"].get("training.lr") != 1e-12
    assert json.loads((tmp_path / "run/search.json").read_text())["trials"] == log


def test_test_clips_have_no_say(tmp_path):
    logs = []
    for spoil in (False, True):
        files, folder = toy(tmp_path / str(spoil), spoil)
        row = go(files, folder, tmp_path / str(spoil) / "run", method())
        logs.append([{k: v for k, v in trial.items() if k != "seconds"} for trial in row["search"]])
    assert logs[0] == logs[1]


def test_a_stopped_search_goes_on(tmp_path, monkeypatch):
    files, folder = toy(tmp_path)
    whole = go(files, folder, tmp_path / "whole", method(checkpoint_seconds=0.0))
    from avzsl.methods.ranking import Ranking

    original, calls = Ranking.epoch, []

    def failing(self, *args):
        calls.append(args)
        if len(calls) == 8:  # the third trial's second epoch
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(Ranking, "epoch", failing)
    with pytest.raises(KeyboardInterrupt):
        go(files, folder, tmp_path / "cut", method(checkpoint_seconds=0.0))
    again = go(files, folder, tmp_path / "cut", method(checkpoint_seconds=0.0))
    assert len(calls) == 7 + 1 + (2 + 3) + 3 + again["epoch"]
    assert [t["hm"] for t in again["search"]] == [t["hm"] for t in whole["search"]]
    assert again["hm"] == whole["hm"]


def test_a_closed_form_method_is_not_searched(tmp_path):
    files, folder = toy(tmp_path)
    row = go(files, folder, tmp_path / "run", method("ridge"))
    assert row["search"] == []
    assert row["chosen"]


def test_the_space_of_a_method_that_names_none():
    assert SPACE == {
        "training.lr": [0.0003, 0.001, 0.003],
        "training.weight_decay": [0.0, 1e-5, 1e-4],
        "training.batch_size": [64, 128, 256],
    }


def test_trials_are_distinct_and_begin_with_the_configuration():
    everything = trials(SPACE, 1000, 0)
    assert len(everything) == 1 + 27
    some = trials(SPACE, 10, 0)
    assert some[0] == {}
    assert len({json.dumps(t) for t in some}) == 10
    assert some == trials(SPACE, 10, 0)
    assert [len(trials(SPACE, count, 0)) for count in (1, 2, 26, 27, 28, 29)] == [1, 2, 26, 27, 28, 28]
    assert trials(SPACE, 28, 0) == trials(SPACE, 28, 1) == everything, "all of them are tried in their order"
    assert trials(SPACE, 27, 0) != everything[:27]
    assert some != trials(SPACE, 10, 1)
    large = {f"x{i}": list(range(10)) for i in range(12)}
    assert len({json.dumps(t) for t in trials(large, 50, 0)}) == 50


@pytest.mark.parametrize("search", [{"margins": [0.1]}, {"training.lrr": [0.1]}, {"training.lr": [-1.0]}])
def test_a_wrong_space_is_refused_before_anything_trains(tmp_path, search):
    files, folder = toy(tmp_path)
    with pytest.raises(ConfigError, match="search"):
        go(files, folder, tmp_path / "run", replace(method(search=search), training=TRAINING))
    assert not (tmp_path / "run" / "search.json").exists()
