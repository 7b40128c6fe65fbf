"""A real SLURM on this machine, for as long as the tests last."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.workflow.conftest import ROOT
from tests.workflow.small import small_environment, snakefile

HERE = Path(__file__).parent
CONFIGURATION = Path("/etc/slurm/slurm.conf")
MARK = "# one-machine test cluster of avzsl"
# How often the plug-in asks decides how long a test takes.
INIT_SECONDS = "2"


def why_not() -> str | None:
    """Return why no cluster can be started here, or None."""
    if os.geteuid() != 0:
        return "starting SLURM's daemons needs root"
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed (tests/cluster/install.sh)"
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "snakemake-executor-plugin-slurm is not installed (tests/cluster/install.sh)"
    if CONFIGURATION.is_file() and MARK not in CONFIGURATION.read_text(encoding="utf-8", errors="replace"):
        return f"{CONFIGURATION} belongs to another cluster"
    return None


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A running cluster: one node of 8 CPUs and 2 GPUs that are not there, partitions cpu and gpu."""
    if reason := why_not():
        pytest.skip(reason)
    if CONFIGURATION.is_file() and subprocess.run(["sinfo"], capture_output=True, check=False).returncode == 0:
        yield  # one that a developer started
        return
    folder = tmp_path_factory.mktemp("slurm")
    try:
        started = subprocess.run([HERE / "up.sh", folder], capture_output=True, text=True, timeout=60, check=False)
        assert started.returncode == 0, started.stdout + started.stderr
        yield
    finally:
        subprocess.run([HERE / "down.sh", folder], capture_output=True, timeout=60, check=False)


def site_profile(folder: Path, gpus: bool = True) -> Path:
    """Write profiles/slurm with the four lines that a user edits, for the test cluster."""
    text = (ROOT / "profiles/slurm/profile.yaml").read_text(encoding="utf-8")
    assert "slurm_account: research " in text and "slurm_partition: gpu " in text
    text = text.replace("slurm_account: research ", "slurm_account: tests ")
    assert "extract: 16 " in text
    text = text.replace("extract: 16 ", "extract: 2 ")
    if not gpus:
        text = text.replace("slurm_partition: gpu ", "slurm_partition: *cpu ").replace("gpu: 1", "gpu: 0")
    values = yaml.safe_load(text)
    path = folder / "site" / "profile.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path.parent


def command(folder: Path, *arguments: str, gpus: bool = True) -> list[str]:
    """Return the command that runs the workflow on the cluster."""
    return [
        sys.executable, "-m", "snakemake", "-s", snakefile(), "--workflow-profile", str(site_profile(folder, gpus)),
        "--slurm-init-seconds-before-status-checks", INIT_SECONDS, *arguments,
    ]  # fmt: skip


def submit(folder: Path, *arguments: str, gpus: bool = True, env: dict[str, str] | None = None) -> str:
    """Run the workflow on the cluster to its end; return what Snakemake said."""
    result = subprocess.run(
        command(folder, *arguments, gpus=gpus), cwd=folder, env=env or small_environment(),
        capture_output=True, text=True, timeout=560, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-6000:]
    return result.stdout + result.stderr


@dataclass(frozen=True)
class ClusterJob:
    """What SLURM knows of a job."""

    number: str
    rule: str
    state: str
    partition: str
    gpus: bool
    details: str


def cluster_jobs(folder: Path) -> list[ClusterJob]:
    """Return the jobs that were submitted from `folder`, in order."""
    shown = subprocess.run(["scontrol", "show", "job", "--oneliner"], capture_output=True, text=True, check=True)
    found = []
    for line in shown.stdout.splitlines():
        facts = dict(part.split("=", 1) for part in line.split() if "=" in part)
        if facts.get("WorkDir") != str(folder):
            continue
        rule = facts.get("Comment", "").removeprefix("rule_").split("_wildcards")[0]
        gpus = any("gpu" in facts.get(key, "") for key in ("TresPerNode", "TresPerJob", "TresPerTask", "TRES"))
        found.append(ClusterJob(facts["JobId"], rule, facts["JobState"], facts["Partition"], gpus, line))
    return sorted(found, key=lambda job: int(job.number))
