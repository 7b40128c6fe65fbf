"""Runs that share a GPU: planned, not run, for neither a GPU nor a cluster is here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workflow.planner import Planner
from tests.workflow.small import small_environment, snakefile, write_small

pytestmark = pytest.mark.timeout(600)


def plan(folder: Path, *arguments: str) -> str:
    planner = Planner(folder, small_environment())
    try:
        return planner("-s", snakefile(), "-n", "--until", "run", *arguments)
    finally:
        planner.close()


def test_every_run_asks_for_a_gpu(tmp_path: Path) -> None:
    """With `gpu=1` of the default profile they follow each other; the flags of docs/gpu.md are understood."""
    write_small(tmp_path, shards=1, clips=4, seeds=list(range(3)), device="cuda")
    flags = (
        "--groups",
        "run=runs",
        "--group-components",
        "runs=8",
        "--resources",
        "gpu=1",
        "--set-resource-scopes",
        "gpu=local",
    )
    for further in ((), flags):
        said = plan(tmp_path, "--cores", "2", *further)
        _, *runs = said.split("rule run:")
        assert len(runs) == 3
        assert all("gpu=1" in run for run in runs)


def test_a_group_takes_one_gpu_and_the_sum_of_the_times() -> None:
    """What Snakemake asks of a group of such jobs, by its own arithmetic."""
    from snakemake.resources import GroupResources, Resource

    class Job:
        pipe_group = None
        priority = 0

        def __init__(self) -> None:
            self.resources = {"_cores": 1, "_nodes": 1, "gpu": 1, "runtime": 240, "mem_mb": 4000}

    # As `--resources gpu=1 --set-resource-scopes gpu=local` leaves them: of the others there is no limit.
    limits = {name: Resource(name, 1 if name == "gpu" else None) for name in Job().resources}
    asked = GroupResources.basic_layered(
        toposorted_jobs=[[Job() for _ in range(8)]], constraints=limits, run_local=False, additive_resources=["runtime"],
        sortby=["runtime"],
    )  # fmt: skip
    assert (asked["gpu"], asked["runtime"], asked["mem_mb"]) == (1, 8 * 240, 4000)
