"""Runs of a benchmark share processes (`runs_together`): the same files and rows, and torch loaded once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avzsl.cli import main
from avzsl.results.places import RunPlaces
from tests.workflow.conftest import Run, write_config

WORDS = ("ball", "star", "ladder", "bell", "rain", "siren", "clock", "engine")
METHODS = ("avca", "ridge", "cjme")
RUNS = "results/benchmarks/mine/runs"
# Read by every Python that starts with it on its path; says at its end that it has trained.
SITE = """
import atexit, os, sys
def note():
    if "avzsl.training.run" in sys.modules:
        open(os.path.join({folder!r}, str(os.getpid())), "w").close()
atexit.register(note)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of features on disk, whose jobs note in `trained` that they loaded torch to train."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    clips = [(f"{word}/{number}", word) for word in WORDS for number in range(6)]
    for clip_id, word in clips:
        for modality in ("audio", "visual"):
            path = tmp_path / "features" / modality / f"{clip_id}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, (3 * np.eye(10)[WORDS.index(word)] + rng.random((1, 10))).astype(np.float32))
    pd.DataFrame(clips, columns=["clip_id", "class_name"]).to_csv(tmp_path / "features/clips.csv", index=False)
    assert main(["new", "mine", "--features", str(tmp_path / "features"), "--embeddings", "demo"]) == 0
    (tmp_path / "site").mkdir()
    (tmp_path / "trained").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(SITE.format(folder=str(tmp_path / "trained")), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    return tmp_path


def configure(folder: Path, together: bool, **training: float) -> None:
    short = {"epochs": 2, "batches_per_epoch": 2, "batch_size": 16, **training}
    values = {
        "benchmarks": {"mine": {"dataset": "mine", "overrides": {"training": short}}},
        "methods": list(METHODS),
        "seeds": [0, 1],
        "device": "cpu",
        "runs_together": together,
    }
    write_config(folder, "config.yaml", values)


def trained(folder: Path) -> int:
    """Return how many processes have loaded torch to train since the last question."""
    noted = list((folder / "trained").iterdir())
    for path in noted:
        path.unlink()
    return len(noted)


def content(folder: Path) -> dict[str, bytes]:
    """Return what decides a result, of every run: bytes of its arrays and predictions, its record without time and place."""
    found = {}
    for run in sorted((folder / RUNS).glob("*/seed-*")):
        places = RunPlaces(run)
        record = json.loads(places.record.read_text(encoding="utf-8"))
        kept = {key: value for key, value in record.items() if key not in {"seconds", "checksum"}}
        found |= {
            str(path.relative_to(folder)): path.read_bytes()
            for path in (places.predictions, places.scores, places.model)
        }
        found[str(run.relative_to(folder))] = json.dumps(kept, sort_keys=True).encode()
    return found


def test_the_same_rows_from_one_process(project: Path, run: Run) -> None:
    configure(project, together=False)
    run("--cores", "1", "results")
    apart, rows = content(project), pd.read_csv(project / "results/runs.csv")
    assert len(rows) == 6 and trained(project) == 6

    shutil.rmtree(project / RUNS)
    configure(project, together=True)
    result = run("--cores", "1", "results")
    assert trained(project) == 1, "the others found their results made"
    assert content(project) == apart
    again = pd.read_csv(project / "results/runs.csv")
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), rows.drop(columns="seconds"))
    assert not list((project / RUNS).rglob("ahead")), "nothing is left over"
    assert "[ridge seed 1] made ahead of its own job" in result.stderr, "every line says whose it is"
    planned = run("-n", "results")
    assert "Nothing to be done" in planned.stdout + planned.stderr
    # One run alone is one run alone, and a setting more makes new ones.
    one = f"{RUNS}/cjme/seed-1/run.json"
    (project / one).unlink()
    run("--cores", "1", one)
    assert trained(project) == 1 and content(project) == apart
    configure(project, together=True, lr=0.01)
    run("--cores", "1", "results")
    assert trained(project) == 1
    assert all(
        content(project)[name] != apart[name]
        for name in apart
        if name.endswith("model.safetensors") and "ridge" not in name
    )


def test_what_a_killed_run_made_ahead_is_kept_and_a_run_that_fails_fails_alone(project: Path, run: Run) -> None:
    configure(project, together=True)
    bad = project / "config/methods/avca.yaml"
    bad.parent.mkdir(exist_ok=True)
    bad.write_text("title: bad\nsource: none\nmodule: avca\ntraining: {lr: 1.0e+30}\n", encoding="utf-8")
    result = run("--cores", "1", "results", check=False)
    assert result.returncode != 0
    assert {path.parent.parent.name for path in (project / RUNS).glob("*/seed-*/run.json")} == {"cjme", "ridge"}
    assert result.stderr.count("training diverged") >= 2
    bad.unlink()
    run("--cores", "1", "results")
    assert len(pd.read_csv(project / "results/runs.csv")) == 6
