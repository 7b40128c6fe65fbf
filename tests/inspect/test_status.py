"""The state of a run is read from its files, whatever state they are in."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avzsl.cli import main
from avzsl.config.load import Project, load_project
from avzsl.contracts.arrays import write_arrays
from avzsl.contracts.schemas import MEDIA
from avzsl.contracts.tables import write_table
from avzsl.inspect import read_status
from avzsl.inspect.usage import usage_of
from avzsl.runtime.jobs import hold_lock
from tests.workflow.conftest import write_config

BENCHMARK = "s\th:m:s\tmax_rss\tcpu_time\tresources\n10.5\t0:00:10\t2048.0\t30.0\t{}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    dataset = {
        "catalog": {"module": "folder", "root": "v"},
        "shards": 4,
        "embeddings": {"table": "demo"},
        "features": "selavi",
    }
    write_config(tmp_path, "datasets/d.yaml", dataset)
    write_config(tmp_path, "config.yaml", {"benchmarks": "d", "seeds": [0, 1], "methods": ["avca"]})
    return load_project("config/config.yaml")


def write_media(shard: int, statuses: list[str], age_s: float = 0) -> Path:
    path = Path(f"results/d/media/{shard:04d}.parquet")
    rows = [
        {"clip_id": f"{shard}-{n}", "shard": shard, "status": status, "permanent": status != "ok", "attempts": 1}
        for n, status in enumerate(statuses)
    ]
    write_table(path, pd.DataFrame(rows), MEDIA)
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_nothing_has_begun(project: Project) -> None:
    status = read_status(project)
    assert status.holder is None and status.gpu_s is None
    assert {stage.name: (stage.done, stage.total) for stage in status.stages} == {
        "catalog": (0, 1), "media": (0, 4), "features selavi": (0, 4), "pack selavi": (0, 1), "runs": (0, 2), "report": (0, 1),
    }  # fmt: skip


def test_shards_failures_gpu_time_and_time_left(project: Project) -> None:
    write_media(0, ["ok", "removed", "removed", "private"], age_s=10_000)
    lock = hold_lock("results/.lock", "busy")
    os.utime("results/.lock", (time.time() - 100,) * 2)
    write_media(1, ["ok", "network"])
    folder = Path("logs/d/features/selavi")
    folder.mkdir(parents=True)
    for shard, gpus in (("0000", 1), ("0001", 2)):
        (folder / f"{shard}.benchmark.tsv").write_text(BENCHMARK.format(json.dumps({"gpu": gpus})), encoding="utf-8")
    status = read_status(project)
    lock.close()
    stages = {stage.name: stage for stage in status.stages}
    assert status.holder is not None and str(os.getpid()) in status.holder
    assert (stages["media"].done, stages["media"].total) == (2, 4)
    assert stages["media"].failed == {"removed": 2, "private": 1, "network": 1}
    assert stages["media"].left_s == pytest.approx(200, rel=0.05), (
        "one shard in 100 s of this run; the old one does not count"
    )
    assert stages["media"].rate == pytest.approx(0.01, rel=0.05)
    assert status.gpu_s == pytest.approx(31.5)
    assert stages["features selavi"].usage.peak_mb == 2048


def test_a_slow_pace_is_printed_as_seconds_each(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    lock = hold_lock("results/.lock", "busy")
    os.utime("results/.lock", (time.time() - 100,) * 2)
    write_media(1, ["ok"])
    assert main(["status"]) == 0
    lock.close()
    assert " s each\n" in next(line for line in capsys.readouterr().out.splitlines(True) if "d media" in line)


def test_broken_files_are_named_and_never_fatal(project: Project) -> None:
    write_media(0, ["ok"]).write_bytes(b"PAR1 no")
    broken = Path("logs/d/features/selavi/0000.benchmark.tsv")
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"\xff\xfe\x00")
    assert read_status(project).unreadable == (Path("results/d/media/0000.parquet"),)


def test_a_benchmark_file_without_resources_says_nothing_of_gpus(tmp_path: Path) -> None:
    path = tmp_path / "b.tsv"
    path.write_text("s\tmax_rss\tcpu_time\n3.5\tNA\t-\n", encoding="utf-8")
    usage = usage_of([path, tmp_path / "none.tsv"])
    assert (usage.jobs, usage.wall_s, usage.cpu_s, usage.gpu_s) == (1, 3.5, 0.0, None)


def test_the_command_prints_it_and_verifies(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    write_media(0, ["ok", "removed"])
    assert main(["status"]) == 0
    said = capsys.readouterr().out
    assert "1/4 shards" in said and "1 clips: removed" in said and "no run is in progress" in said
    assert main(["status", "--verify"]) == 0
    arrays = Path("results/d/features/selavi/shards/0000.safetensors")
    write_arrays(arrays, {"audio": np.zeros((4, 8), np.float32)}, {})
    data = bytearray(arrays.read_bytes())
    data[-3] ^= 4
    arrays.write_bytes(data)
    capsys.readouterr()
    assert main(["status", "--verify"]) == 1
    assert f"{arrays}: has changed since it was written" in capsys.readouterr().out
