"""Runs that a job makes ahead of their own jobs, whose imports that saves (`runs_together` in config.yaml).

Snakemake removes what a job left before the job begins anew and when it fails: one job for all runs of a benchmark would lose
them all at once. So every run keeps its job, its folder and its row. A job makes its own run, then the runs of its benchmark
that no process has begun, each to `ahead/` in that run's folder, which is no output of any job. The run's own job finds it
there, if it is of exactly these settings and inputs, and moves it into place without loading torch.

A run that cannot be made ahead is left to its own job, which fails by itself or does not. Importing this loads no torch.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import json
import logging
import os
import platform
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import avzsl
from avzsl.contracts.atomic import write_json
from avzsl.contracts.errors import AvzslError
from avzsl.contracts.hashing import sha256_file, sha256_value
from avzsl.contracts.records import read_record, write_record
from avzsl.results.places import RunPlaces
from avzsl.runtime.devices import wants_gpu
from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import labelled
from avzsl.runtime.locks import exclusive, waiting
from avzsl.runtime.peak import peak_mb
from avzsl.runtime.seals import STATE

logger = logging.getLogger(__name__)

# The runs that Snakemake is about to make on this machine; no file where each has a process of its own.
PLAN = STATE / "runs.json"


class _BusyError(AvzslError):
    pass


@dataclass(frozen=True)
class Asked:
    """A run that the workflow asks for. `settings` are its `run_settings`, `out` is its folder, `steps` None without sequences."""

    benchmark: str
    method: str
    seed: int
    settings: dict[str, Any]
    checkpoint_seconds: float
    steps: str | None
    out: str

    @property
    def places(self) -> RunPlaces:
        return RunPlaces(Path(self.out))

    @property
    def label(self) -> str:
        return f"{self.method} seed {self.seed}"


@dataclass(frozen=True)
class Here:
    """What all runs of a benchmark have in common on this machine; see `avzsl.training.run`.

    `log` is the log of the job at work, `memory_mb` what the job asked for, None where nobody says.
    """

    folder: Path
    pack: Path
    vectors: Path
    device: str
    threads: int
    tracking: Any
    seeds: Sequence[int]
    most_together: int | None
    log: str = ""
    memory_mb: int | None = None

    @cached_property
    def identity(self) -> list[Any]:
        """What decides a run besides its settings, found without torch: contents of files, versions, device."""
        tables = [self.folder / name for name in ("benchmark.json", "clips.parquet", "classes.parquet")]
        versions = [importlib.metadata.version(package) for package in ("torch", "numpy", "pandas")]
        return [
            [sha256_file(path) for path in [*tables, self.pack, self.vectors]],
            [avzsl.__version__, platform.python_version(), *versions],
            [self.device, wants_gpu(self.device), os.environ.get("CUDA_VISIBLE_DEVICES"), self.threads],
        ]


def plan(runs: Iterable[Asked], forced: Iterable[Asked] = ()) -> None:
    """Let jobs know which runs this call of Snakemake makes on this machine, where they may share processes.

    What was made ahead of `forced` runs, by a call that was killed, is removed: they are to be made anew.
    """
    with contextlib.suppress(OSError):  # a full disk: each run has a process of its own
        PLAN.unlink(missing_ok=True)
        for run in forced:
            shutil.rmtree(run.places.ahead.folder, ignore_errors=True)
        if listed := [asdict(run) for run in runs]:
            write_json(PLAN, listed)


def planned() -> list[Asked]:
    """Return the runs of `plan`."""
    try:
        return [Asked(**values) for values in json.loads(PLAN.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


def fingerprint(run: Asked, here: Here) -> str:
    """Return a hash of everything that decides the files of a run. Steps count by size and time: they may be gigabytes."""
    steps = None
    if run.steps is not None:
        facts = Path(run.steps).stat()
        steps = [facts.st_size, facts.st_mtime_ns, facts.st_ino]
    return sha256_value([run.benchmark, run.method, run.seed, run.settings, steps, here.identity])


def make(own: Asked, here: Here) -> None:
    """Do the job of a run: move what was made ahead into place, or make it, and others of its benchmark with it.

    Raises what `avzsl.training.run` raises for the own run; another's error is a line in the log.
    """
    # Of what others read, only that is known to be finished which this one reads.
    others = [
        run
        for run in planned()
        if run.places.benchmark == own.places.benchmark and run.out != own.out and run.steps in (None, own.steps)
    ]
    if not others and not own.places.ahead.folder.is_dir():
        _run(own, here)
        return
    with contextlib.ExitStack() as held:
        try:
            _hold(held, own)
        except OSError as error:
            logger.info("%s: no locks here (%s): every run has a process of its own", own.places.lock, error)
            others = []
        mark = fingerprint(own, here)
        if _adopt(own, mark):
            return
        if not others:
            _run(own, here)
            return
        # Ahead as well: a job that is killed while it makes others loses its outputs.
        _make(own, here, mark)
        for other in others:
            if not (_room(here) and _try(other, here)):
                break
        _into_place(own)


def _hold(held: contextlib.ExitStack, run: Asked) -> None:
    """Hold a run's lock, waiting for the process that makes it ahead."""
    try:
        held.enter_context(exclusive(run.places.lock, _BusyError()))
    except _BusyError:
        logger.info("another job is making this run ahead; waiting for it")
        held.enter_context(waiting(run.places.lock))


def _try(run: Asked, here: Here) -> bool:
    """Make a run ahead if no process has begun it; return whether this one should go on to the next."""
    from avzsl.runtime.accelerator import LostError

    with contextlib.ExitStack() as held:
        try:
            held.enter_context(exclusive(run.places.lock, _BusyError()))
        except (_BusyError, OSError):
            return True
        with labelled(run.label):
            try:
                mark = fingerprint(run, here)
                # Made; or begun by a process that did not end it, and may have been ended by it.
                if _noted(run).get("fingerprint") == mark:
                    return True
                if _make(run, here, mark, unless_finished=True):
                    logger.info("made ahead of its own job")
            except LostError as error:
                logger.warning("left to its own job, as all that follow: %s", error)
                return False
            except Exception as error:
                logger.warning("left to its own job: %s", (str(error) or repr(error)).splitlines()[0])
    return True


def _room(here: Here) -> bool:
    """Free what the last run held; return whether the process keeps to the memory that its job asked for."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()  # nothing on a CPU
    peak = peak_mb()
    if here.memory_mb is None or peak <= here.memory_mb:
        return True
    logger.info("no further run is made ahead: this job has taken %d MB of %d", peak, here.memory_mb)
    return False


def _make(run: Asked, here: Here, mark: str, unless_finished: bool = False) -> bool:
    """Make a run in its `ahead` folder; return False where it has a finished one in place."""
    ahead = run.places.ahead
    shutil.rmtree(ahead.folder, ignore_errors=True)
    _note(run, here, mark, {})
    if not _run(run, here, ahead.folder, unless_finished):
        shutil.rmtree(ahead.folder)
        return False
    _note(run, here, mark, {path.name: sha256_file(path) for path in ahead.all})
    return True


def _note(run: Asked, here: Here, mark: str, sums: dict[str, str]) -> None:
    """Note what is in the `ahead` folder of a run; without `sums` it has only begun."""
    write_record(run.places.made_ahead, {"fingerprint": mark, "sha256": sums, "log": here.log})


def _noted(run: Asked) -> dict[str, Any]:
    try:
        return read_record(run.places.made_ahead)
    except AvzslError:
        return {}


def _adopt(run: Asked, mark: str) -> bool:
    """Move a run that was made ahead into place; remove it and return False if it is not this one or not whole."""
    ahead, noted = run.places.ahead, _noted(run)
    if noted.get("fingerprint") == mark and noted.get("sha256"):
        try:
            whole = noted["sha256"] == {path.name: sha256_file(path) for path in ahead.all}
        except OSError:
            whole = False
        if whole:
            _into_place(run)
            logger.info("made ahead by another job, whose log says how: %s", noted.get("log"))
            return True
        logger.warning("%s: not as it was made; made again", ahead.folder)
    shutil.rmtree(ahead.folder, ignore_errors=True)
    return False


def _into_place(run: Asked) -> None:
    """Move the files of a run from its `ahead` folder to its own, the record last."""
    record, *others = run.places.ahead.all
    for path in [*others, record]:
        os.utime(path)  # Snakemake compares times: it is a result of now
        path.replace(run.places.folder / path.name)
    shutil.rmtree(run.places.ahead.folder)


def _run(run: Asked, here: Here, written: Path | None = None, unless_finished: bool = False) -> bool:
    from avzsl.results.project import run_of

    with importing():
        from avzsl.training import run as training  # torch, which a run that was made ahead does not need

    benchmark, method = run_of(run.settings, run.benchmark, run.method, run.seed, run.checkpoint_seconds)
    out = Path(run.out)
    return training.run(
        here.folder,
        here.pack,
        here.vectors,
        method,
        benchmark,
        run.seed,
        out,
        device=here.device,
        threads=here.threads,
        tracking=here.tracking,
        steps=None if run.steps is None else Path(run.steps),
        together=[(seed, out.with_name(f"seed-{seed}")) for seed in here.seeds],
        most_together=here.most_together,
        written=written,
        unless_finished=unless_finished,
    )
