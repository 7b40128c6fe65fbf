"""Jobs that a killed run left behind: wait for those that work, take those that wait out of the queue.

`kill -9` on Snakemake leaves its jobs running, on this machine or on a cluster. Their results are good (files are
renamed into place whole), so a new run waits for them instead of doing the same work beside them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from avzsl.runtime.seals import STATE

logger = logging.getLogger(__name__)

# Every job of the workflow has a file here and holds its lock; the kernel drops the lock with the process.
_JOBS = STATE / "jobs"
# Seconds between two lines on how far the jobs are that are waited for.
_SAID_S = 10.0
# Not empty after a run that was killed.
_INCOMPLETE = Path(".snakemake/incomplete")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# squeue's names of states in which a job does nothing yet, and of states in which it works.
_WAITING = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT"}
_WORKING = {"RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "SIGNALING", "STAGE_OUT", "STOPPED", "RESIZING"}


@contextlib.contextmanager
def at_work(label: str = "", log: str | Path | None = None) -> Iterator[None]:
    """Let other processes know, for as long as the block lasts, that the job `label` works in this folder.

    `log` is where it says how far it is. Does nothing outside a working directory of Snakemake and on file systems
    without locks.
    """
    path = _JOBS / f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}.json"
    stream: TextIO | None = None
    with contextlib.suppress(OSError):
        if STATE.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = path.open("a", encoding="utf-8")
            fcntl.flock(stream, fcntl.LOCK_EX)
            facts = {"label": label, "process": os.getpid(), "host": socket.gethostname(), "since": time.time()}
            stream.write(json.dumps({**facts, "log": str(log or "")}))
            stream.flush()
    try:
        yield
    finally:
        if stream is not None:
            with contextlib.suppress(OSError):  # a full disk, which the job has said already
                path.unlink(missing_ok=True)
                stream.close()


def working() -> list[dict[str, Any]]:
    """Return the jobs at work in this folder: label, process, host, since (seconds of the epoch), log.

    What jobs left that were killed is removed.
    """
    found = []
    for path in sorted(_JOBS.glob("*.json")):
        try:
            with path.open("r", encoding="utf-8") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    with contextlib.suppress(ValueError):
                        found.append(dict(json.loads(stream.read() or "{}")))
                    continue
            path.unlink(missing_ok=True)
        except OSError:  # it has just ended, or the file system has no locks and cannot tell
            continue
    return found


def settle(poll_s: float = 2.0) -> int:
    """Return when no job of an earlier run is left, with the number that was waited for.

    Call it only while holding the run's own lock. One run at a time is meant to use a working directory. Cluster jobs
    that have not begun are cancelled, since the new run submits them again; those that run are waited for. Whoever does
    not want to wait may end them (`scancel`, `kill`): the wait ends with them.
    """
    waited = _settle_slurm(poll_s)
    said: set[str] = set()
    last = time.monotonic() - _SAID_S + poll_s
    while jobs := working():
        named = {
            f"{job.get('label') or 'a job'} (process {job.get('process')} on {job.get('host')})": job for job in jobs
        }
        if new := sorted(set(named) - said):
            since = ", ".join(f"{name} since {_clock(named[name])}" for name in new)
            logger.warning("waiting for jobs that an earlier run left at work in this folder: %d: %s", len(new), since)
            said |= set(new)
        if time.monotonic() - last >= _SAID_S:
            last = time.monotonic()
            for name, one in named.items():
                logger.warning("still at work: %s%s", name, _progress(one))
        time.sleep(poll_s / 4)
    if said:  # the Snakemake around a cluster's job still has to note that it ended well
        time.sleep(poll_s)
    return waited + len(said)


def _clock(one: dict[str, Any]) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(one.get("since") or 0)))


def _progress(one: dict[str, Any]) -> str:
    """Return the last line of a job's log, which says how far it is; it has no more to say than that."""
    with contextlib.suppress(OSError, ValueError):
        lines = Path(one["log"]).read_text(encoding="utf-8", errors="replace").splitlines()
        if lines:
            return f": {lines[-1].partition(': ')[2] or lines[-1]}"
    return ""


def _settle_slurm(poll_s: float) -> int:
    if not any(_INCOMPLETE.rglob("*")) or shutil.which("squeue") is None:
        return 0
    said: set[str] = set()
    while True:
        states = _states()
        waiting = sorted(number for number, state in states.items() if state in _WAITING)
        busy = {number for number, state in states.items() if state in _WORKING}
        if waiting:
            logger.warning("cancelling jobs of an earlier run that have not begun: %s", ", ".join(waiting))
            subprocess.run(["scancel", *waiting], check=False, capture_output=True, timeout=60)
        if not waiting and not busy:
            return len(said)
        if busy - said:
            numbers = ", ".join(f"{number} {states[number].lower()}" for number in sorted(busy - said))
            logger.warning(
                "waiting for %d jobs of an earlier run on the cluster: %s (scancel them to start over)",
                len(busy - said),
                numbers,
            )
            said |= busy
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
