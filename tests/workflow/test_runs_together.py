"""Runs of a benchmark share processes (`runs_together`): the same files and rows, and torch loaded once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avzsl.cli import main
from avzsl.results.places import RunPlaces
from tests.workflow.conftest import Run, environment, snakemake_command, write_config

WORDS = ("ball", "star", "ladder", "bell", "rain", "siren", "clock", "engine")
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


def configure(folder: Path, together: bool, methods: tuple[str, ...] = ("avca", "ridge"), **training: float) -> None:
    short = {"epochs": 2, "batches_per_epoch": 2, "batch_size": 16, **training}
    values = {
        "benchmarks": {"mine": {"dataset": "mine", "overrides": {"training": short}}},
        "methods": list(methods),
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
    found: dict[str, bytes] = {}
    for run in sorted((folder / RUNS).glob("*/seed-*")):
        places = RunPlaces(run)
        record = json.loads(places.record.read_text(encoding="utf-8"))
        kept = {key: value for key, value in record.items() if key not in {"seconds", "checksum"}}
        for path in (places.predictions, places.scores, places.model):
            found[str(path.relative_to(folder))] = path.read_bytes()
        found[str(run.relative_to(folder))] = json.dumps(kept, sort_keys=True).encode()
    return found


def test_the_same_rows_from_one_process(project: Path, run: Run) -> None:
    configure(project, together=True)
    result = run("--cores", "1", "results")
    assert trained(project) == 1, "the others found their results made"
    assert not list((project / RUNS).rglob("ahead")), "nothing is left over"
    assert "[ridge seed 1] made ahead of its own job" in result.stderr, "every line says whose it is"
    assert (project / RUNS / "ridge/seed-1/tensorboard").is_dir(), "scalars are where they are looked for"
    together, rows = content(project), pd.read_csv(project / "results/runs.csv")
    planned = run("-n", "results")
    assert "Nothing to be done" in planned.stdout + planned.stderr

    shutil.rmtree(project / RUNS)
    configure(project, together=False)
    run("--cores", "1", "results")
    assert len(rows) == 4 and trained(project) == 4
    assert content(project) == together
    apart = pd.read_csv(project / "results/runs.csv")
    pd.testing.assert_frame_equal(apart.drop(columns="seconds"), rows.drop(columns="seconds"))


@pytest.mark.slow
def test_one_run_is_one_run_and_other_settings_are_other_runs(project: Path, run: Run) -> None:
    configure(project, together=True)
    run("--cores", "2", "results")
    assert trained(project) <= 2
    before = content(project)
    one = f"{RUNS}/avca/seed-1/run.json"
    (project / one).unlink()
    run("--cores", "1", one)
    assert trained(project) == 1 and content(project) == before
    assert not list((project / RUNS).rglob("ahead"))
    configure(project, together=True, lr=0.01)
    run("--cores", "1", "results")
    assert trained(project) == 1
    trained_ones = [name for name in before if name.endswith("model.safetensors") and "avca" in name]
    assert all(content(project)[name] != before[name] for name in trained_ones)
    run("--cores", "1", "results", "--forcerun", "run")
    assert trained(project) == 4, "what is forced is made by its own job"


@pytest.mark.slow
def test_a_run_that_fails_fails_alone(project: Path, run: Run) -> None:
    configure(project, together=True, methods=("avca", "ridge"))
    bad = project / "config/methods/avca.yaml"
    bad.parent.mkdir(exist_ok=True)
    own = "title: bad\nsource: none\nmodule: avca\ntraining: {lr: 1.0e+30}\n"
    bad.write_text(own, encoding="utf-8")
    result = run("--cores", "1", "results", check=False)
    assert result.returncode != 0
    made = {str(path.relative_to(project / RUNS).parent) for path in (project / RUNS).glob("*/seed-*/run.json")}
    assert made == {"ridge/seed-0", "ridge/seed-1"}
    assert "[avca seed 0] training diverged" in result.stderr and "[avca seed 1] training diverged" in result.stderr
    bad.unlink()
    run("--cores", "1", "results")
    assert len(pd.read_csv(project / "results/runs.csv")) == 4


@pytest.mark.slow
def test_a_run_that_is_killed_with_its_jobs_loses_no_result(
    project: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    many = ("ridge", "eszsl", "avca", "cjme")
    configure(project, together=True, methods=many)
    command = [*snakemake_command("results"), "--cores", "1"]
    with subprocess.Popen(
        command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 300
        while sum('"run.json"' in text(path) for path in (project / RUNS).glob("*/seed-*/ahead/ahead.json")) < 3:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    assert not list((project / RUNS).glob("*/seed-*/run.json")), "nothing that Snakemake would remove"
    kept = {path.parent for path in (project / RUNS).glob("*/seed-*/ahead/run.json")}
    assert main(["status"]) == 0
    assert f"mine runs {len(kept)}/8 runs" in " ".join(capsys.readouterr().out.split())
    run("--cores", "1", "results")
    assert trained(project) <= 2, "one for the run that was cut off, which goes on with the rest"
    killed = content(project)
    shutil.rmtree(project / RUNS)
    run("--cores", "1", "results")
    assert content(project) == killed


def text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
