"""Runs that share a GPU: planned, not run, for neither a GPU nor a cluster is here."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tests.workflow.conftest import ROOT
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
        "network=16",
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


def test_what_the_profile_asks_of_sbatch() -> None:
    """By the plug-in's own words: one GPU, and the cores that decode for it as those of one task."""
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="the extra [slurm] is not installed")
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    class Resources(dict[str, Any]):
        __getattr__ = dict.__getitem__

    profile = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text(encoding="utf-8"))
    asked = Resources(profile["set-resources"]["extract"], mem_mb=8000, runtime=240)
    job = SimpleNamespace(resources=asked, threads=profile["set-threads"]["extract"])
    given = ("run_uuid", "slurm_logfile", "comment_str", "account", "partition", "workdir")
    words = (get_submit_command(job, dict.fromkeys(given, "x")) + set_gres_string(job)).split()
    assert {"--gpus=1", "--cpus-per-task=16"} <= set(words)
    assert not [word for word in words if word.startswith("--ntasks")]
