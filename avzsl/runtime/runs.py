"""What a run of the workflow does around its jobs: plan, begin, end. Called by the Snakefile with Snakemake's `workflow`.

Planning changes nothing. Whatever does, begins with the run: the lock, waiting for jobs of an earlier run, sweeping.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from avzsl.contracts.atomic import sweep
from avzsl.contracts.errors import AvzslError
from avzsl.runtime import seals
from avzsl.runtime.clock import settle_times
from avzsl.runtime.jobs import CORRUPT, hold_lock, holder
from avzsl.runtime.leftovers import settle

logger = logging.getLogger(__name__)

_BUSY = "another run is writing to this results folder"
# Calls that make nothing.
_QUESTIONS = {"--summary", "-S", "--detailed-summary", "-D", "--report", "--dag", "--rulegraph", "--filegraph",
              "--d3dag", "--lint", "--list-rules", "-n", "--dry-run", "--dryrun"}  # fmt: skip
# Files that this run has made again already, for the Snakemake that takes its place.
_REMADE = "AVZSL_REMADE"
_SHOWN = 10
# A file that nobody refers to is closed, and its lock with it.
_held: list[TextIO] = []


def plan(workflow: Any, lock: Path) -> None:
    """Have jobs done again whose files are not as they were left. Reads only.

    Raises AvzslError if another run is writing to the results folder and this one means to.
    """
    if not workflow.is_main_process:
        return
    asks = workflow.output_settings.dryrun or _QUESTIONS & {argument.split("=")[0] for argument in sys.argv[1:]}
    if not asks and (other := holder(lock)) is not None:
        raise AvzslError(f"{lock}: {_BUSY} (process {other}); wait for it or stop it")
    changed = seals.changes()
    for one in changed[:_SHOWN]:
        sys.stderr.write(f"{one.path}: {one.why}\n")
    if len(changed) > _SHOWN:
        sys.stderr.write(f"... and {len(changed) - _SHOWN} more\n")
    if changed:
        _force({one.output for one in changed})


def begin(workflow: Any, results: Path, lock: Path) -> None:
    """Take the run's lock, held until this process ends; let jobs of an earlier run end, keep what they made.

    Where there was something to keep, Snakemake plans again: this process becomes another one of the same command.
    Raises AvzslError if another run has the lock.
    """
    _held.append(held := hold_lock(lock, _BUSY))
    waited = settle()
    sweep(results)
    adopted = _adopt(workflow)
    if adopted or waited:
        logger.warning("jobs of an earlier run have ended; planning again without what they have finished")
    if settle_times(results) or adopted or waited:
        held.close()
        _restart(workflow)


def end(workflow: Any) -> None:
    """After a run in which a job failed: make the files that were found corrupt again, in the same command.

    A file that is corrupt twice in one run stays a failure.
    """
    try:
        found = list(dict.fromkeys(CORRUPT.read_text(encoding="utf-8").splitlines()))
    except OSError:
        return
    CORRUPT.unlink(missing_ok=True)
    before = [name for name in os.environ.get(_REMADE, "").split("\n") if name]
    again = sorted(set(found) & set(before))
    if again:
        logger.error("%s: made again in this run and corrupt again; check the disk", again[0])
        return
    os.environ[_REMADE] = "\n".join([*before, *found])
    logger.warning("making again what was corrupt: %s", ", ".join(found))
    _restart(workflow)


def _force(outputs: set[str]) -> None:
    """Have the jobs of these files done, where they are part of the plan.

    `--forcerun` would do, but makes targets of its files; Snakemake forces those of incomplete jobs in the same way.
    """
    from snakemake.dag import DAG

    original = DAG.check_incomplete

    async def check_incomplete(dag: Any) -> None:
        await original(dag)
        dag.forcefiles.update(outputs)

    DAG.check_incomplete = check_incomplete


def _adopt(workflow: Any) -> int:
    """Note as finished the jobs that ended well after their Snakemake was killed; return how many."""
    adopted = 0
    for job in workflow.dag.needrun_jobs():
        marked = workflow.async_run(workflow.persistence.incomplete(job))
        found = seals.read_seal(job.output) if marked else None
        if found is None or not found.asked or not seals.intact(found):
            continue
        if found.asked == seals.asked_of(job.rule.name, dict(job.params.items()), job.input):
            workflow.async_run(workflow.persistence.finished(job))
            adopted += 1
    return adopted


def _restart(workflow: Any) -> None:
    """Become a new Snakemake of the same command; return where this process is not one (it was called as a library)."""
    given = sys.orig_argv[1:]
    if not _is_snakemake(given):
        logger.warning("run again")
        return
    with contextlib.suppress(Exception):  # its lines should come before those of the next
        workflow.logger_manager.stop()
    sys.stdout.flush()
    sys.stderr.flush()
    os.chdir(workflow.workdir_init)
    os.execv(sys.executable, [sys.executable, *given])


def _is_snakemake(arguments: Iterable[str]) -> bool:
    return any(Path(argument).name == "snakemake" for argument in list(arguments)[:6])
