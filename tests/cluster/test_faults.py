"""What goes wrong on a cluster goes wrong here, on purpose; the same command afterwards gives the same results."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.compare import differences
from tests.cluster.conftest import ClusterJob, cluster_jobs, command
from tests.workflow.small import small_environment, snakefile, write_small

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("cluster")]

TARGET = "features"
SHARDS = 2


def wait_for(what: str, condition: Callable[[], object], seconds: float = 200) -> object:
    """Return the condition's value as soon as it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.3)
    raise AssertionError(f"never happened: {what}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run on one machine that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_small(folder, shards=SHARDS)
    subprocess.run(
        [sys.executable, "-m", "snakemake", "-s", snakefile(), "--cores", "2", TARGET],
        cwd=folder, env=small_environment(), check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_small(tmp_path, shards=SHARDS)
    return tmp_path


@contextlib.contextmanager
def running(folder: Path, *arguments: str, slow: str = "20") -> Iterator[subprocess.Popen[bytes]]:
    """A run on the cluster whose features take `slow` seconds a shard; what it says is in said.txt."""
    (folder / "slow").write_text(slow, encoding="utf-8")
    with (folder / "said.txt").open("ab") as stream:
        process = subprocess.Popen(
            command(folder, TARGET, *arguments), cwd=folder, env=small_environment(),
            stdout=stream, stderr=stream,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(folder: Path) -> str:
    return (folder / "said.txt").read_text(encoding="utf-8", errors="replace")


def features_at_work(folder: Path) -> list[ClusterJob]:
    """Return the jobs of features that compute at this moment."""
    jobs = [job for job in cluster_jobs(folder) if job.rule == "extract" and job.state == "RUNNING"]
    return [job for job in jobs if (folder / f"working.{job.number}").is_file()]


def process_of(job: ClusterJob, folder: Path) -> int:
    return int((folder / f"working.{job.number}").read_text(encoding="utf-8"))


def counts(folder: Path) -> Counter[str]:
    return Counter(job.rule for job in cluster_jobs(folder))


def finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Let the run come to its end; jobs that begin from now on are quick."""
    (folder / "slow").unlink(missing_ok=True)
    assert process.wait(timeout=400) == 0, said(folder)[-6000:]


def test_a_cancelled_job_and_a_killed_process_are_tried_again(undisturbed: Path, project: Path) -> None:
    with running(project) as process:
        jobs = wait_for(
            "both shards at work", lambda: len(features_at_work(project)) == 2 and features_at_work(project)
        )
        one, other = jobs  # type: ignore[misc]
        subprocess.run(["scancel", one.number], check=True)
        os.kill(process_of(other, project), signal.SIGKILL)
        finish(process, project)
    assert differences(undisturbed, project) == []
    states = Counter(job.state for job in cluster_jobs(project) if job.rule == "extract")
    assert states == {"COMPLETED": 2, "CANCELLED": 1, "FAILED": 1}
    assert counts(project)["media"] == SHARDS, "nothing else is done twice"


def test_a_job_over_its_memory_gets_more(undisturbed: Path, project: Path) -> None:
    # The first attempt asks for less than a bare Python with pandas takes.
    with running(project, "--set-resources", "extract:mem_mb=60 * attempt ** 4", slow="8") as process:
        finish(process, project)
    assert differences(undisturbed, project) == []
    states = Counter(job.state for job in cluster_jobs(project) if job.rule == "extract")
    assert states["COMPLETED"] == SHARDS and states["OUT_OF_MEMORY"] + states["FAILED"] + states["CANCELLED"] >= 1


def test_a_job_over_its_time_gets_more(undisturbed: Path, project: Path) -> None:
    with running(project, slow="120") as process:
        [first, *_] = wait_for("features at work", lambda: features_at_work(project))  # type: ignore[misc]
        assert "TimeLimit=04:00:00" in first.details
        subprocess.run(["scontrol", "update", f"jobid={first.number}", "timelimit=00:01:00"], check=True)
        finish(process, project)
    assert differences(undisturbed, project) == []
    features = [job for job in cluster_jobs(project) if job.rule == "extract"]
    assert Counter(job.state for job in features) == {"COMPLETED": 2, "TIMEOUT": 1}
    assert any("TimeLimit=08:00:00" in job.details for job in features), "the next attempt asks for more"


def test_snakemake_killed_and_started_again_waits_for_its_jobs(undisturbed: Path, project: Path) -> None:
    with running(project, slow="25") as process:
        wait_for("both shards at work", lambda: len(features_at_work(project)) == 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = counts(project)
    # No --unlock, nothing removed by hand: the same command.
    with running(project) as process:
        finish(process, project)
    assert "waiting for jobs of an earlier run" in said(project)
    assert differences(undisturbed, project) == []
    assert counts(project)["extract"] == before["extract"] == SHARDS, "no shard is done twice"
    assert counts(project)["media"] == SHARDS


def test_jobs_that_wait_in_the_queue_of_a_killed_run_are_taken_out(undisturbed: Path, project: Path) -> None:
    node = node_name()
    with running(project, slow="1") as process:
        wait_for("the catalogue is made", (project / "results/small/catalog/clips.parquet").is_file)
        with drained(node):
            wait_for("a job waits", lambda: [job for job in cluster_jobs(project) if job.state == "PENDING"])
            process.send_signal(signal.SIGKILL)
            process.wait()
            waiting = {job.number for job in cluster_jobs(project) if job.state == "PENDING"}
            with running(project, slow="1") as again:
                wait_for(
                    "they are cancelled",
                    lambda: not waiting & {j.number for j in cluster_jobs(project) if j.state == "PENDING"},
                )
                scontrol("update", f"nodename={node}", "state=resume")
                finish(again, project)
    assert "have not begun" in said(project)
    assert differences(undisturbed, project) == []


def test_a_node_that_drains_and_comes_back(undisturbed: Path, project: Path) -> None:
    node = node_name()
    with running(project, slow="5") as process:
        wait_for("the catalogue is made", (project / "results/small/catalog/clips.parquet").is_file)
        with drained(node):
            time.sleep(15)
            assert process.poll() is None, "it waits for the node"
        finish(process, project)
    assert differences(undisturbed, project) == []
    assert set(counts(project).values()) <= {1, SHARDS}, "nothing is done twice"


def test_a_node_that_goes_down_with_its_jobs(undisturbed: Path, project: Path) -> None:
    node = node_name()
    with running(project) as process:
        wait_for("features at work", lambda: features_at_work(project))
        scontrol("update", f"nodename={node}", "state=down", "reason=test")
        wait_for("the jobs are taken off it", lambda: not features_at_work(project))
        # Refused where the node has reported back by itself.
        subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], capture_output=True, check=False)
        finish(process, project)
    assert differences(undisturbed, project) == []
    assert counts(project)["media"] == SHARDS


@pytest.mark.parametrize("step", ["0", "batch"])
def test_the_daemon_of_a_jobs_step_killed(undisturbed: Path, project: Path, step: str) -> None:
    # Long enough that a job that is not given up would hold up the run for longer than the test waits.
    with running(project, slow="600") as process:
        jobs = wait_for(
            "both shards at work", lambda: len(features_at_work(project)) == 2 and features_at_work(project)
        )
        one, other = jobs  # type: ignore[misc]
        worker = process_of(one, project)
        os.kill(daemon_of(one, step), signal.SIGKILL)
        wait_for("the job is given up", lambda: one.number not in {job.number for job in features_at_work(project)}, 60)
        wait_for("its process ends", lambda: not Path(f"/proc/{worker}").exists(), 60)
        os.kill(process_of(other, project), signal.SIGKILL)
        finish(process, project)
    assert differences(undisturbed, project) == []
    states = Counter(job.state for job in cluster_jobs(project) if job.rule == "extract")
    assert states == {"COMPLETED": 2, "CANCELLED": 1, "FAILED": 1}
    assert counts(project)["media"] == SHARDS, "nothing else is done twice"


def test_a_job_given_up_for_dead_wakes_after_its_next_attempt(undisturbed: Path, project: Path) -> None:
    with running(project, slow="40") as process:
        [first, *_] = wait_for("features at work", lambda: features_at_work(project))  # type: ignore[misc]
        worker = process_of(first, project)
        above = parent_of(worker)
        # As on a node that SLURM lost: nobody can end these processes, and they know nothing of it. (Stopped before
        # their daemon dies, they would get a hang-up from the kernel.)
        daemon = daemon_of(first, "0")
        os.kill(daemon, signal.SIGKILL)
        wait_for("the daemon is gone", lambda: parent_of(above) != daemon, 2)
        for frozen in (above, worker):
            os.kill(frozen, signal.SIGSTOP)
        subprocess.run(["scancel", first.number], check=True)
        finish(process, project)
    assert differences(undisturbed, project) == []
    for frozen in (above, worker):
        os.kill(frozen, signal.SIGCONT)
    wait_for("they end", lambda: not Path(f"/proc/{worker}").exists() and not Path(f"/proc/{above}").exists(), 90)
    assert differences(undisturbed, project) == [], "what they still do changes nothing"
    before = counts(project)
    with running(project) as process:
        finish(process, project)
    assert differences(undisturbed, project) == []
    assert counts(project)["extract"] == before["extract"], "nothing is extracted again"


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


def daemon_of(job: ClusterJob, step: str) -> int:
    """Return the process of slurmstepd that watches over a step of a job."""
    listed = subprocess.run(
        ["pgrep", "-f", rf"slurmstepd: \[{job.number}\.{step}\]"], capture_output=True, text=True, check=True
    )
    return int(listed.stdout.split()[0])


def scontrol(*arguments: str) -> None:
    subprocess.run(["scontrol", *arguments], check=True, capture_output=True)


def node_name() -> str:
    return subprocess.run(["hostname", "-s"], capture_output=True, text=True, check=True).stdout.strip()


@contextlib.contextmanager
def drained(node: str) -> Iterator[None]:
    """Let the node take no new job for as long as the block lasts."""
    scontrol("update", f"nodename={node}", "state=drain", "reason=test")
    try:
        yield
    finally:
        state = subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True, check=True).stdout
        if re.search("drain", state):
            scontrol("update", f"nodename={node}", "state=resume")
