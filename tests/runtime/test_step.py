"""A job of SLURM whose step's daemon is killed cancels itself; one whose daemon lives is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

JOB = """
import os, sys, time
from pathlib import Path
from avzsl.runtime.step import give_up_without_daemon
give_up_without_daemon(poll_s=0.1)
Path("begun.part").write_text(str(os.getpid()))
Path("begun.part").rename("begun")
time.sleep(float(sys.argv[1]))
Path("finished").touch()
"""
# As under SLURM: the daemon is the parent of the task, and the job's script runs below that.
DAEMON = """
import subprocess, sys
from pathlib import Path
task = subprocess.Popen(["/bin/sh", "-c", 'export SLURM_TASK_PID=$$; "$@" & wait', "sh", *sys.argv[1:]])
Path("task.part").write_text(str(task.pid))
Path("task.part").rename("task")
task.wait()
"""


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False


def start(folder: Path, seconds: float) -> subprocess.Popen[bytes]:
    """Start a daemon with a job below it that takes `seconds`, and a scancel that only notes what it is told."""
    scancel = folder / "bin/scancel"
    scancel.parent.mkdir()
    scancel.write_text('#!/bin/sh\necho "$@" > cancelled.part && mv cancelled.part cancelled\n', encoding="utf-8")
    scancel.chmod(0o755)
    environment = {
        **os.environ, "PATH": f"{scancel.parent}:{os.environ['PATH']}", "SLURM_JOB_ID": "4711",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", DAEMON, sys.executable, "-c", JOB, str(seconds)], cwd=folder, env=environment
    )


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="no /proc here")
def test_a_job_without_its_daemon_cancels_itself(tmp_path: Path) -> None:
    daemon = start(tmp_path, 20)
    wait_for((tmp_path / "begun").is_file)
    task = int((tmp_path / "task").read_text(encoding="utf-8"))
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    wait_for((tmp_path / "cancelled").is_file)
    assert (tmp_path / "cancelled").read_text(encoding="utf-8") == "4711\n"
    assert not alive(task), "nobody is left to remove the files of the next attempt"
    assert not (tmp_path / "finished").exists()


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="no /proc here")
def test_a_process_that_outlives_its_task_ends(tmp_path: Path) -> None:
    daemon = start(tmp_path, 20)
    wait_for((tmp_path / "begun").is_file)
    os.kill(int((tmp_path / "task").read_text(encoding="utf-8")), signal.SIGKILL)
    daemon.wait(timeout=60)
    worker = int((tmp_path / "begun").read_text(encoding="utf-8"))
    wait_for(lambda: not alive(worker))
    assert not (tmp_path / "cancelled").exists(), "SLURM knows that the task has ended"
    assert not (tmp_path / "finished").exists()


def test_a_job_whose_daemon_lives_is_left_alone(tmp_path: Path) -> None:
    assert start(tmp_path, 1).wait(timeout=60) == 0
    assert (tmp_path / "finished").is_file()
    assert not (tmp_path / "cancelled").exists()
