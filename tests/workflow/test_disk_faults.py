"""A disk that is full and a disk that forgets: found, said, and mended by the same command."""

from __future__ import annotations

import contextlib
import os
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


def test_a_changed_byte_of_a_finished_shard_is_found_and_made_again(undisturbed: Path, tmp_path: Path) -> None:
    write_small(tmp_path, shards=2)
    assert snakemake(tmp_path, f"{SHARDS}/0000.parquet", f"{SHARDS}/0001.parquet")[0] == 0
    shard = tmp_path / SHARDS / "0000.safetensors"
    stat = shard.stat()
    data = bytearray(shard.read_bytes())
    data[-9] ^= 1
    shard.write_bytes(data)
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    code, said = snakemake(tmp_path)
    assert code == 1
    assert "0000.safetensors: has changed since it was written" in said
    assert shard.with_name("0000.safetensors.corrupt").is_file() and not shard.exists()
    code, said = snakemake(tmp_path)
    assert code == 0, said[-3000:]
    assert "0001.log" not in said, "the good shard is left alone"
    assert differences(undisturbed, tmp_path) == []
