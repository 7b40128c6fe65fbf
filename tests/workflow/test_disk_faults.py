"""A disk that is full and a disk that forgets: found, said, and mended by the same command."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.compare import differences
from tests.workflow.small import small_environment, snakefile, write_small

pytestmark = pytest.mark.timeout(600)
SHARDS = "results/small/features/stub/shards"


def snakemake(folder: Path, *targets: str) -> tuple[int, str]:
    result = subprocess.run(
        [sys.executable, "-m", "snakemake", "-s", snakefile(), "--cores", "2", *(targets or ["features"])],
        cwd=folder, env=small_environment(), capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    return result.returncode, result.stdout + result.stderr


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    write_small(folder, shards=2)
    assert snakemake(folder)[0] == 0
    return folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A project whose results lie on a disk of half a megabyte."""
    (tmp_path / "results").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(tmp_path / "results")]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    write_small(tmp_path, shards=2)
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path / "results")], check=False)


def test_a_full_disk_fails_the_job_and_nothing_else(undisturbed: Path, small_disk: Path) -> None:
    assert snakemake(small_disk, "all_media")[0] == 0
    filler = small_disk / "results/filler"
    with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(b"x" * 1024)
    code, said = snakemake(small_disk)
    assert code == 1
    assert "the disk is full" in said and "Traceback" not in said
    left = [path for path in (small_disk / SHARDS).glob("*") if path.stat().st_size]
    assert left == [], "no file that is not whole"
    filler.unlink()
    code, said = snakemake(small_disk)
    assert code == 0, said[-3000:]
    assert differences(undisturbed, small_disk) == []


@pytest.fixture
def spoilt(tmp_path: Path) -> Path:
    """A project in which a byte of a finished shard has changed under its old time."""
    write_small(tmp_path, shards=2)
    assert snakemake(tmp_path, f"{SHARDS}/0000.parquet", f"{SHARDS}/0001.parquet")[0] == 0
    shard = tmp_path / SHARDS / "0000.safetensors"
    stat = shard.stat()
    data = bytearray(shard.read_bytes())
    data[-9] ^= 1
    shard.write_bytes(data)
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return tmp_path


def test_a_changed_byte_of_a_finished_shard_is_found_and_made_again(undisturbed: Path, spoilt: Path) -> None:
    code, said = snakemake(spoilt)
    assert code == 0, said[-3000:]
    assert f"{SHARDS}/0000.safetensors: is not as it was written; it is made again" in said
    assert "0001.log" not in said, "the good shard is left alone"
    assert differences(undisturbed, spoilt) == []


def test_what_only_the_reader_can_see_is_made_again_by_the_same_command(undisturbed: Path, spoilt: Path) -> None:
    """A disk that forgets changes no time at all: the file's own checksum tells, once a job reads it."""
    shard = spoilt / SHARDS / "0000.safetensors"
    facts = shard.stat()
    for path in (spoilt / ".snakemake/avzsl/seals").glob("*.json"):
        seal = json.loads(path.read_text(encoding="utf-8"))
        name = f"{SHARDS}/0000.safetensors"
        if name in seal["outputs"]:
            known = seal["outputs"][name]
            seal["outputs"][name] = [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, known[4]]
            path.write_text(json.dumps(seal), encoding="utf-8")
    code, said = snakemake(spoilt)
    assert code == 0, said[-3000:]
    assert "0000.safetensors: has changed since it was written" in said
    assert "making again what was corrupt" in said
    assert shard.with_name("0000.safetensors.corrupt").is_file(), "kept to be looked at"
    assert "0001.log" not in said, "the good shard is left alone"
    shard.with_name("0000.safetensors.corrupt").unlink()
    assert differences(undisturbed, spoilt) == []


# What makes each stage write, from the last to the first: a forced job of Snakemake's leaves its outputs away.
STAGES = {
    "report": "report",
    "tables": "tables",
    "results": "results",
    "run": "results/benchmarks/small/runs/avca/seed-0/run.json",
    "benchmark": "results/benchmarks/small/clips.parquet",
    "split": "results/small/splits/default/split.parquet",
    "steps": "results/small/features/stub/steps.safetensors",
    "pack": "results/small/features/stub/packed.parquet",
    "extract": f"{SHARDS}/0000.parquet",
    "media": "results/small/media/0000.parquet",
    "embeddings": "results/small/embeddings.safetensors",
    "catalog_small": "results/small/catalog/clips.parquet",
}


@pytest.mark.slow
def test_every_stage_says_that_it_cannot_write_and_loses_nothing(tmp_path: Path) -> None:
    write_small(tmp_path, shards=1, methods=["avca", "tcaf"])
    code, said = snakemake(tmp_path, "all", "tables")
    assert code == 0, said[-3000:]
    before = tmp_path / "before"
    shutil.copytree(tmp_path / "results", before / "results")
    (tmp_path / "full").write_text("50", encoding="utf-8")
    wrong = {}
    for rule, target in STAGES.items():
        code, said = snakemake(tmp_path, target, "--forcerun", rule, "--rerun-triggers", "mtime")
        lines = [
            line for line in said.splitlines() if "nothing half-written is left" in line or "nothing fetched" in line
        ]
        if code != 1 or not lines or "Traceback" in said:
            wrong[rule] = said[-2000:]
    assert wrong == {}
    left = [path for path in (tmp_path / "results").rglob("*") if path.name.startswith(".avzsl-unfinished-")]
    assert left == []
    done = subprocess.run(
        ["bash", "-c", "ulimit -f 1; exec \"$@\"", "-", sys.executable, "-m", "avzsl", "bundle", "before/results"],
        cwd=tmp_path, env=small_environment(), capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr[-2000:]
    assert ": grows larger than its file system" in done.stderr
    assert not (tmp_path / "bundle.zip").exists()
    (tmp_path / "full").unlink()
    code, said = snakemake(tmp_path, "all", "tables")
    assert code == 0, said[-3000:]
    assert differences(before, tmp_path) == []


def test_a_results_folder_that_is_read_only_is_a_sentence(small_disk: Path) -> None:
    assert snakemake(small_disk, "results/small/catalog/clips.parquet")[0] == 0
    again = ["mount", "-o", "remount,ro", str(small_disk / "results")]
    if subprocess.run(again, capture_output=True, check=False).returncode != 0:
        pytest.skip("this system does not mount again")
    code, said = snakemake(small_disk, "all_media")
    assert code == 1
    assert "lies on a file system that is read-only; correct that and run again" in said and "Traceback" not in said
