"""Snakemake alone is killed; its job goes on, and the next run waits for it instead of writing the same files beside it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avzsl.runtime.jobs import holder
from tests.cluster.compare import differences
from tests.workflow.small import small_environment, snakefile, write_small

pytestmark = pytest.mark.timeout(600)
FEATURES = "results/small/features/stub/shards/0000.parquet"


def test_a_killed_snakemakes_job_is_waited_for(tmp_path: Path) -> None:
    undisturbed, project = tmp_path / "undisturbed", tmp_path / "project"
    for folder in (undisturbed, project):
        write_small(folder, shards=1)
    command = [sys.executable, "-m", "snakemake", "-s", snakefile(), "--cores", "1", "features"]
    subprocess.run(command, cwd=undisturbed, env=small_environment(), check=True, capture_output=True, timeout=500)

    (project / "slow").write_text("300", encoding="utf-8")
    with subprocess.Popen(
        command, cwd=project, env=small_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 300
        while not (project / "working.here").is_file():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        assert (holder(project / "results/.lock") or "").startswith(f"{process.pid} on"), "held as long as it runs"
        process.kill()
    assert not (project / FEATURES).exists()
    log = tmp_path / "log"
    with (
        log.open("w") as stream,
        subprocess.Popen(
            command, cwd=project, env=small_environment(), stdout=stream, stderr=subprocess.STDOUT
        ) as process,
    ):
        # How far the job is, while it is waited for.
        while "still at work: features small/0000" not in log.read_text(encoding="utf-8"):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text(encoding="utf-8")[-3000:]
            time.sleep(0.1)
        (project / "go").touch()
        status = process.wait(300)
    said = log.read_text(encoding="utf-8")
    assert status == 0, said[-3000:]
    assert "waiting for jobs that an earlier run left at work" in said
    assert re.search(r"left at work in this folder: 1: features small/0000 \(process \d+ on .+\) since \d{4}-", said)
    assert "rule extract:" not in said, "nor is what the killed run was at"
    assert "rule media:" not in said, "what it has finished is not done again"
    assert differences(undisturbed, project) == []
