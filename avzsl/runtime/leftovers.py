"""Jobs that a killed run left behind: wait for those that work, take those that wait out of the queue.

`kill -9` on Snakemake leaves its jobs running, on this machine or on a cluster. Their results are good (files are
renamed into place whole), so a new run waits for them instead of doing the same work beside them.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

logger = logging.getLogger(__name__)

# Every job of the workflow holds this file shared; it lies in the working directory, as Snakemake's own records do.
JOBS_LOCK = Path(".snakemake/avzsl.jobs")
# Not empty after a run that was killed.
_INCOMPLETE = Path(".snakemake/incomplete")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# squeue's names of states in which a job does nothing yet, and of states in which it works.
_WAITING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"}
_WORKING = {"RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "SIGNALING", "STAGE_OUT", "STOPPED", "RESIZING"}


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """Let other processes know, for as long as the block lasts, that a job works in this folder.

    Does nothing outside a working directory of Snakemake and on file systems without locks.
    """
    stream: TextIO | None = None
    with contextlib.suppress(OSError):
        if JOBS_LOCK.parent.is_dir():
            stream = JOBS_LOCK.open("a", encoding="utf-8")
            fcntl.flock(stream, fcntl.LOCK_SH)
    try:
        yield
    finally:
        if stream is not None:
            stream.close()


def settle(poll_s: float = 2.0) -> None:
    """Return when no job of an earlier run is left. Call it only while holding the run's own lock.

    One run at a time is meant to use a working directory. Cluster jobs that have not begun are cancelled, since the
    new run submits them again; those that run are waited for. Whoever does not want to wait may end them (`scancel`, `kill`): the wait ends with them.
    """
    _settle_slurm(poll_s)
    if not JOBS_LOCK.is_file():
        return
    with JOBS_LOCK.open("a", encoding="utf-8") as stream:
        said = False
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if said:  # the Snakemake around the job still has to note that it ended well
                    time.sleep(poll_s)
                return
            except BlockingIOError:
                if not said:
                    logger.warning("waiting for jobs that an earlier run left at work in this folder")
                    said = True
                time.sleep(poll_s)
            except OSError:  # a file system without locks cannot tell
                return


def _settle_slurm(poll_s: float) -> None:
    if not any(_INCOMPLETE.rglob("*")) or shutil.which("squeue") is None:
        return
    said: set[str] = set()
    while True:
        states = _states()
        waiting = sorted(number for number, state in states.items() if state in _WAITING)
        working = {number for number, state in states.items() if state in _WORKING}
        if waiting:
            logger.warning("cancelling jobs of an earlier run that have not begun: %s", ", ".join(waiting))
            subprocess.run(["scancel", *waiting], check=False, capture_output=True, timeout=60)
        if not waiting and not working:
            return
        if working - said:
            numbers = ", ".join(sorted(working))
            logger.warning("waiting for jobs of an earlier run: %s (scancel them to start over)", numbers)
            said |= working
        time.sleep(poll_s)


def _states() -> dict[str, str]:
    """Return the states of the jobs that Snakemake submitted from this folder; it names them by a UUID of the run."""
    asked = subprocess.run(
        ["squeue", "--me", "--noheader", "--format=%i\t%T\t%j\t%Z"],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    rows = [line.strip().split("\t", 3) for line in asked.stdout.splitlines()]
    here = str(Path.cwd())
    return {row[0]: row[1] for row in rows if len(row) == 4 and _UUID.fullmatch(row[2]) and row[3] == here}
