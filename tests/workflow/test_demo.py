"""The whole DAG on a tiny demo: dry run first, then undisturbed, then killed in the middle and finished."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from avzsl.contracts.hashing import sha256_file
from avzsl.contracts.schemas import MEDIA, PREDICTIONS
from avzsl.contracts.tables import read_table
from tests.workflow.conftest import ROOT, environment, run_in, snakemake_command, write_tiny_demo

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder in which the tiny demo has run undisturbed."""
    folder = tmp_path_factory.mktemp("demo")
    write_tiny_demo(folder)
    planned = run_in(folder)("-n").stdout
    for rule in (
        "world_demo",
        "catalog_demo",
        "media",
        "extract",
        "pack",
        "split",
        "benchmark",
        "run",
        "results",
        "report",
    ):
        assert f"rule {rule}:" in planned
    assert not (folder / "results" / "demo").exists(), "a dry run makes nothing"
    result = run_in(folder)()
    assert "RANDOM WEIGHTS" in result.stdout
    assert "chance" in result.stdout
    return folder


def results_of(folder: Path) -> dict[str, str]:
    """Return the hash of every result that must not depend on when, or how often, the run was interrupted."""
    files = [*(folder / "results").rglob("*.safetensors"), *(folder / "results").rglob("predictions.parquet")]
    files += [*(folder / "results").rglob("split.parquet"), *(folder / "results").rglob("shards/*.parquet")]
    return {str(path.relative_to(folder)): sha256_file(path) for path in files}


def test_snakemakes_own_report_has_the_tables_and_their_captions(finished: Path) -> None:
    said = run_in(finished)("--report", "own.zip").stderr
    with zipfile.ZipFile(finished / "own.zip") as archive:
        names = archive.namelist()
        text = "".join(
            archive.read(name).decode("utf-8", "replace") for name in names if name.endswith((".html", ".js"))
        )
    for name in ("index.html", "benchmark.csv", "runs.csv", "benchmark.txt", "audit.md"):
        assert f"Adding {name} (" in said
    for caption in (ROOT / "workflow" / "report").glob("*.rst"):
        # The first words of every caption, as far as they hold no markup.
        assert " ".join(caption.read_text(encoding="utf-8").split()[:4]) in " ".join(text.split()), caption.name


def test_training_can_be_watched(finished: Path) -> None:
    runs = finished / "results/benchmarks/demo/runs"
    for stage in (1, 2):
        assert len(list(runs.glob(f"*/seed-0/tensorboard/stage-{stage}/events.*"))) == 2


def test_every_stage_left_its_files(finished: Path) -> None:
    table = pd.read_csv(finished / "results/benchmark.csv")
    assert list(table["method"]) == ["avca", "cjme"]
    assert table["random_weights"].all()
    assert (finished / "results/report/index.html").stat().st_size > 10_000
    media = pd.concat(read_table(path, MEDIA) for path in sorted((finished / "results/demo/media").glob("*.parquet")))
    assert len(media) == 24 and set(media["status"]) == {"ok"}
    predictions = read_table(finished / "results/benchmarks/demo/runs/avca/seed-0/predictions.parquet", PREDICTIONS)
    assert set(predictions["subset"]) == {"test_seen", "test_unseen"}


def test_a_second_run_does_nothing(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (finished / "results").rglob("*") if path.is_file()}
    assert "Nothing to be done" in run_in(finished)().stderr
    before.pop(finished / "results/.lock")  # whose holder is written anew by every run
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_named_targets(finished: Path) -> None:
    def said(target: str) -> str:
        result = run_in(finished)("-n", target)
        return result.stdout + result.stderr

    for target in ("features", "report"):
        assert "Nothing to be done" in said(target)
    audited = said("splits")
    assert "rule splits:" in audited and "rule split:" not in audited, "nothing but to say what was found"
    assert "What the audits found" in run_in(finished)("splits").stdout
    assert "rule benchmark_demo:" in said("benchmark_demo"), "a table of its own, which the whole does not need"


def test_killed_in_the_middle_of_a_stage_it_is_finished_by_the_same_command(finished: Path, tmp_path: Path) -> None:
    write_tiny_demo(tmp_path)
    with subprocess.Popen(
        snakemake_command(),
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        deadline = time.monotonic() + 300
        log = tmp_path / "logs/demo/features/selavi-random"
        while not list(log.glob("*.log")):
            assert process.poll() is None and time.monotonic() < deadline, "the features stage never began"
            time.sleep(0.2)
        time.sleep(4)
        os.killpg(process.pid, signal.SIGKILL)
    assert not list((tmp_path / "results").glob("benchmarks/*/runs/*/*/run.json"))
    # No --unlock, no --rerun-incomplete, no cleaning: the same command.
    run_in(tmp_path)()
    assert results_of(tmp_path) == results_of(finished)


def test_two_runs_at_once_are_refused(finished: Path) -> None:
    from avzsl.runtime.jobs import hold_lock

    with hold_lock(finished / "results/.lock", "busy"):
        result = run_in(finished)(check=False)
    assert result.returncode == 1
    assert f"another run is writing to this results folder (process {os.getpid()} on" in result.stdout + result.stderr
