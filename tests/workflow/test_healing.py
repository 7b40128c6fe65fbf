"""A file that is cut short, edited or gone is made again by the next run, whichever it is; commands find their project."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from avzsl.cli import main
from avzsl.contracts.hashing import sha256_file
from avzsl.runtime import seals
from tests.workflow.small import write_small
from tests.workflow.test_change_control import jobs, snakemake

pytestmark = pytest.mark.timeout(600)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def edit(path: Path) -> None:
    facts, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def made(folder: Path) -> list[Path]:
    """Return every file that a stage wrote, relative to the project."""
    files = [path for path in (folder / "results").rglob("*") if path.is_file()]
    # Not outputs: records of the run, working files, and the empty mark of a checkpoint.
    apart = {".lock", "project.json", "done"}
    kept = [
        p for p in files if p.name not in apart and p.suffix not in {".jsonl", ".lock"} and "tensorboard" not in p.parts
    ]
    return sorted(path.relative_to(folder) for path in kept)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("healing")
    write_small(folder, shards=2)
    snakemake(folder, "--config", "benchmarks=small")
    return folder


@pytest.fixture
def here(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(finished)
    yield finished


@pytest.mark.parametrize("damage", [cut, edit, Path.unlink])
def test_damage_to_any_file_is_planned_to_be_mended(here: Path, damage) -> None:
    assert seals.changes() == []
    names = made(here)
    assert len(names) > 20 and {"benchmark.json", "run.json", "audit.md", "index.html", "catalog.json"} <= {
        p.name for p in names
    }
    for name in names:
        kept = shutil.copy2(name, "kept")
        damage(name)
        found = seals.changes()
        shutil.copy2(kept, name)
        assert [one.path for one in found] == [str(name)], name
        assert "it is made again" in found[0].why
    assert seals.changes() == [], "the same content again is no damage, whatever its time"


def test_one_run_mends_a_file_of_every_stage(here: Path) -> None:
    names = made(here)
    # The page holds how long jobs took, run.json and its readers that of the run.
    timed = {"index.html", "run.json", "runs.csv", "benchmark.csv", "history.parquet"}
    before = {name: sha256_file(name) for name in names if name.name not in timed}
    hurt = ["catalog/catalog.json", "media/0001.parquet", "shards/0000.safetensors", "features/stub/packed.parquet", "embeddings.safetensors",
            "splits/default/audit.md", "benchmarks/small/benchmark.json", "avca/seed-0/history.parquet", "runs.csv", "index.html"]  # fmt: skip
    for number, name in enumerate(hurt):
        path = next(p for p in names if p.as_posix().endswith(name))
        (cut, edit, Path.unlink)[number % 3](path)
    said = snakemake(here)
    assert jobs(said)["catalog_small"] == 1 and jobs(said)["run"] == 1
    assert [name for name in before if not name.is_file() or sha256_file(name) != before[name]] == []
    assert not list(here.rglob("*.corrupt")), "nothing had to be found by a job"
    assert "Nothing to be done" in snakemake(here)


def test_commands_find_the_project_of_the_results_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Built with --config, asked without: what the run built is written in its folder."""
    config = Path("config/config.yaml").rename("config/aside.yaml")
    try:
        for command, word in (("results", "small"), ("status", "small"), ("export small out", "stage_2_test_unseen")):
            assert main(command.split()) == 0, command
            assert word in capsys.readouterr().out, command
        assert main(["report", "--out", "page.html"]) == 0
        assert Path("page.html").stat().st_size > 10_000
        assert main(["results", "--results", "nowhere"]) == 1
    finally:
        config.rename("config/config.yaml")


def test_results_prints_what_is_finished_and_names_what_is_missing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("more.yaml").write_text("benchmarks: small\nmethods: [avca, cjme]\nseeds: [0, 1]\n", encoding="utf-8")
    shutil.copyfile("more.yaml", "config/more.yaml")
    assert main(["results", "--config", "config/more.yaml"]) == 0
    said = capsys.readouterr().out
    assert "avca" in said and "missing: small: avca, seed 1" in said and "missing: small: cjme, seeds 0, 1" in said


def test_a_clock_that_was_set_back_by_a_day_stops_no_run(finished: Path, tmp_path: Path, monkeypatch) -> None:
    """Beside files from the future Snakemake takes every new file for older than what it is made of, and refuses it."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder)
    monkeypatch.chdir(folder)
    for path in (folder / "results").rglob("*"):
        moment = (finished / path.relative_to(folder)).stat().st_mtime_ns + 86_400 * 10**9
        os.utime(path, ns=(moment, moment))
    said = snakemake(folder, "--config", "benchmarks=small", "seeds=[0,1]")
    assert "the clock was set back" in said
    assert "rule run:" in said
    assert not [rule for rule in ("media", "extract", "pack", "split", "benchmark") if f"rule {rule}:" in said], said
    assert jobs(snakemake(folder, "-n", "--config", "benchmarks=small", "seeds=[0,1]")) == {}
