"""The whole demo through a real SLURM: the same results as on one machine, and GPUs for those who need them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.compare import differences, results
from tests.cluster.conftest import cluster_jobs, submit
from tests.workflow.conftest import environment, run_in, write_tiny_demo
from tests.workflow.small import small_environment, write_small

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900), pytest.mark.usefixtures("cluster")]
# Rules that run networks.
GPU_RULES = {"extract", "run"}


def test_the_demo_gives_the_same_results_as_on_one_machine(tmp_path: Path) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    for folder in (local, remote):
        write_tiny_demo(folder)
    said = submit(remote, env=environment())
    jobs = cluster_jobs(remote)
    run_in(local)()
    assert len(results(local)) > 30
    assert differences(local, remote) == []

    assert {job.state for job in jobs} == {"COMPLETED"}
    alone = {job.rule: job for job in jobs}
    assert set(alone) >= GPU_RULES
    for job in jobs:
        assert job.gpus == (job.rule in GPU_RULES), job.details
        assert job.partition == ("gpu" if job.rule in GPU_RULES else "cpu"), job.details
        assert "Account=tests" in job.details
    # Small jobs share a place in the queue.
    assert not {"split", "embeddings", "results", "report"} & set(alone)
    assert "The page: results/report/index.html" in said, "the head of the run prints the table"

    before = len(jobs)
    assert "Nothing to be done" in submit(remote, env=environment())
    assert len(cluster_jobs(remote)) == before


def test_a_cluster_without_gpus_runs_the_same_workflow(tmp_path: Path) -> None:
    write_small(tmp_path, shards=2)
    submit(tmp_path, "features", gpus=False, env=small_environment())
    jobs = cluster_jobs(tmp_path)
    assert {"media", "extract"} <= {job.rule for job in jobs}
    assert {(job.state, job.partition, job.gpus) for job in jobs} == {("COMPLETED", "cpu", False)}
