"""What a cluster job does when the SLURM daemon that watches over it is killed.

Every step of a job has a daemon of its own on the node (slurmstepd), the parent of the step's processes. When it is
killed they go on, but SLURM does not hear how they end: without the daemon of the step that works, `srun` waits until
the job's time is over; without that of the batch script, SLURM misses the job half an hour later and makes it again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from pathlib import Path

logger = logging.getLogger(__name__)


def give_up_without_daemon(poll_s: float = 5.0) -> None:
    """From now on, cancel this SLURM job and end as soon as the daemon of its step is gone; return at once.

    The run then tries the job again, as any that was cancelled. Where the task alone has ended, and this process was
    forgotten below it, it ends too. Does nothing outside of SLURM, nor where the step's
    processes cannot be seen from here (a container with process numbers of its own).
    """
    job, task = os.environ.get("SLURM_JOB_ID", ""), os.environ.get("SLURM_TASK_PID", "")
    if not (job.isdigit() and task.isdigit()):
        return
    above = _ancestors(int(task))
    daemon = _parent(int(task))
    if above and daemon is not None and daemon > 1:
        threading.Thread(target=_watch, args=(job, above, daemon, poll_s), daemon=True).start()


def _watch(job: str, above: list[int], daemon: int, poll_s: float) -> None:
    parent: int | None = daemon
    while parent == daemon:
        time.sleep(poll_s)
        parent = _parent(above[0])
    if parent is not None:
        logger.error("the SLURM daemon of this step was killed; job %s is cancelled, to be tried again", job)
        # Snakemake first: it would remove the files of the job that failed, which may be those of the next attempt.
        for process in above:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        # In place of this process, so that it does nothing more.
        with contextlib.suppress(OSError):
            os.execvp("scancel", ["scancel", job])
    # The task has ended, and with it the step: on a site without cgroups SLURM may have lost sight of what is below.
    os.kill(os.getpid(), signal.SIGKILL)


def _ancestors(task: int) -> list[int]:
    """Return the processes from `task` down to the parent of this one; none if `task` is not above it."""
    found: list[int] = []
    process = _parent(os.getpid())
    while process is not None and process > 1:
        found.insert(0, process)
        if process == task:
            return found
        process = _parent(process)
    return []


def _parent(process: int) -> int | None:
    """Return the parent of a process, None if there is no such process."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in parentheses, may hold anything; the state and the parent follow it.
    return int(status.rpartition(")")[2].split()[1])
