"""Jobs that a killed run left behind: wait for those that work, take those that wait out of the queue.

`kill -9` on Snakemake leaves its jobs running, on this machine or on a cluster. Their results are good (files are
renamed into place whole), so a new run waits for them instead of doing the same work beside them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
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
_INCOMPLETE = Path(".snakemake/incomplete")
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

    Cluster jobs that have not begun are cancelled, since the new run submits them again; those that run are waited
    for. Whoever does not want to wait may end them (`scancel`, `kill`): the wait ends with them.
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
    known = _submitted()
    if not known or shutil.which("squeue") is None:
        return
    said: set[str] = set()
    while True:
        states = _states(known)
        waiting = sorted(number for number, state in states.items() if state in _WAITING)
        working = {number for number, state in states.items() if state in _WORKING}
        if waiting:
            logger.warning("cancelling jobs of an earlier run that have not begun: %s", ", ".join(waiting))
            subprocess.run(["scancel", *waiting], check=False, capture_output=True, timeout=60)
        if not waiting and not working:
            return
        if working - said:
            logger.warning(
                "waiting for jobs of an earlier run: %s (scancel them to start over)", ", ".join(sorted(working))
            )
            said |= working
        time.sleep(poll_s)


def _submitted() -> set[str]:
    """Return the cluster's numbers of the jobs that Snakemake believes unfinished, from its records."""
    numbers = set()
    for path in _INCOMPLETE.rglob("*") if _INCOMPLETE.is_dir() else ():
        with contextlib.suppress(OSError, ValueError, AttributeError):
            number = str(json.loads(path.read_text(encoding="utf-8")).get("external_jobid") or "")
            if re.fullmatch(r"[0-9]+(_[0-9]+)?", number):
                numbers.add(number)
    return numbers


def _states(numbers: set[str]) -> dict[str, str]:
    """Return the states of those jobs that are ours: numbers begin again when a cluster is set up anew."""
    here = str(Path.cwd())
    asked = subprocess.run(
        ["squeue", "--me", "--noheader", "--states=all", "--format=%i\t%T\t%Z"],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    rows = [line.strip().split("\t") for line in asked.stdout.splitlines()]
    return {row[0]: row[1] for row in rows if len(row) == 3 and row[0] in numbers and row[2] == here}
