"""What every job of the workflow and every command does around its work: logs, errors, locks."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
import sys
import threading
import time
import traceback
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from avzsl.contracts import disk
from avzsl.contracts.errors import AvzslError, CorruptError
from avzsl.contracts.secrets import Hiding, hide
from avzsl.runtime.clock import ahead, settle_times
from avzsl.runtime.devices import let_idle_threads_sleep
from avzsl.runtime.leftovers import at_work
from avzsl.runtime.seals import STATE, asked_of, changed_use, noting, seal, unseal
from avzsl.runtime.step import give_up_without_daemon

logger = logging.getLogger(__name__)


# Corrupt files that jobs of this run have met, one a line.
CORRUPT = STATE / "corrupt"


@dataclass(frozen=True)
class Work:
    """A job at work. `changed`: files that it read or left the last time and whose content is another now."""

    changed: frozenset[str]


@contextlib.contextmanager
def job(snakemake: Any | None, label: str = "") -> Iterator[Work]:
    """Do a job of the workflow: `snakemake` is what Snakemake hands to a script, None outside of it.

    Logs to standard error and to the job's log; ends with one line, not a traceback, on an AvzslError. `label` stands
    before every line on standard error, where jobs that run side by side mix.
    What a job leaves that ends well is sealed (avzsl.runtime.seals). A SLURM job whose step loses its daemon ends here
    (avzsl.runtime.step).
    Exits with status 1 on an AvzslError. A corrupt file of ours is renamed to NAME.corrupt, and made again when the
    other jobs have ended (avzsl.runtime.runs). Any other exception is a bug: it is logged and passed on.
    """
    log = snakemake.log[0] if snakemake is not None and snakemake.log else None
    setup_logging(log, label)
    let_idle_threads_sleep()
    give_up_without_daemon()
    outputs = [] if snakemake is None else [str(path) for path in snakemake.output]
    try:
        with at_work(label, log), noting():
            work = Work(changed_use(outputs))
            unseal(outputs)
            yield work
            if snakemake is not None:
                if ahead(snakemake.input):
                    settle_times(snakemake.config.get("results") or "results")
                seal(outputs, asked_of(snakemake.rule, dict(snakemake.params.items()), snakemake.input))
    except CorruptError as error:
        logger.error("%s", error)
        with contextlib.suppress(OSError):
            error.path.replace(f"{error.path}.corrupt")
            logger.error("it now is %s.corrupt, and is made again", error.path)
            with CORRUPT.open("a", encoding="utf-8") as stream:
                stream.write(f"{error.path}\n")
        sys.exit(1)
    except AvzslError as error:
        logger.error("%s", error)
        sys.exit(1)
    except Exception as error:
        if (said := disk.sentence(error)) is not None:
            logger.error("%s", said)
            sys.exit(1)
        logger.exception("unexpected error; please report it with this log")
        raise


@contextlib.contextmanager
def labelled(label: str) -> Iterator[None]:
    """Have the lines of the block begin with `label`, on standard error and in the log: it is another job's work."""
    handlers = [
        one for one in logging.getLogger().handlers if type(one) in (logging.StreamHandler, logging.FileHandler)
    ]
    before = [one.formatter for one in handlers]
    for one in handlers:
        one.setFormatter(_formatter(f"[{label}] %(message)s", in_file=isinstance(one, logging.FileHandler)))
    try:
        yield
    finally:
        for one, formatter in zip(handlers, before, strict=True):
            one.setFormatter(formatter)


def _formatter(message: str, in_file: bool) -> logging.Formatter:
    return logging.Formatter(f"%(asctime)s %(levelname)s %(name)s: {message}" if in_file else message)


def setup_logging(log: str | Path | None = None, label: str = "", level: int = logging.INFO) -> None:
    """Send log records to standard error and, with times, to the file `log`."""
    root = logging.getLogger()
    root.setLevel(level)
    for handler in list(root.handlers):
        root.removeHandler(handler)
    screen = logging.StreamHandler(sys.stderr)
    screen.setFormatter(_formatter(f"[{label}] %(message)s" if label else "%(message)s", in_file=False))
    screen.addFilter(Hiding())
    root.addHandler(screen)
    if log:
        try:
            Path(log).parent.mkdir(parents=True, exist_ok=True)
            file = logging.FileHandler(log, mode="w", encoding="utf-8")
        except OSError as error:  # a full disk; the screen has the log
            logger.warning("%s: cannot be written (%s)", log, error.strerror or error)
            return
        file.handleError = lambda record: None  # type: ignore[method-assign]
        file.setFormatter(_formatter("%(message)s", in_file=True))
        file.addFilter(Hiding())
        root.addHandler(file)
    # What nobody catches is printed by Python itself.
    sys.excepthook = _print_hidden
    threading.excepthook = _say_of_thread
    for noisy in ("numba", "matplotlib", "urllib3", "fsspec"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _say_of_thread(given: threading.ExceptHookArgs) -> None:
    """Say how a thread ended that nobody waits for, such as a tracker's."""
    if given.exc_value is not None and (said := disk.sentence(given.exc_value)) is not None:
        logger.warning("%s", said)
    else:
        _print_hidden(given.exc_type, given.exc_value, given.exc_traceback)


def _print_hidden(kind: type[BaseException], error: BaseException | None, trace: types.TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        sys.stderr.write(hide("".join(traceback.format_exception(kind, error, trace))))


def hold_lock(path: str | Path, problem: str) -> TextIO:
    """Take an exclusive lock on `path` until the returned file is closed or the process ends.

    The kernel releases it with the process, also after `kill -9`, so a stale lock cannot exist.
    On a file system that knows no locks there is none, and a warning says so.
    Raises AvzslError naming the holder if another process has it.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise AvzslError(disk.sentence(error) or f"{path}: cannot be opened ({error.strerror})") from error
    try:
        _lock_soon(stream)
    except BlockingIOError as error:
        stream.seek(0)
        holder = stream.read().strip() or "unknown"
        stream.close()
        raise AvzslError(f"{path}: {problem} (process {holder}); wait for it or stop it") from error
    except OSError as error:
        logger.warning("%s: this file system has no locks (%s); do not start a second run here", path, error)
    try:
        stream.truncate(0)
        stream.write(f"{os.getpid()} on {socket.gethostname()}")
        stream.flush()
    except OSError as error:
        raise AvzslError(f"{path}: cannot be written ({error.strerror}); make room and run again") from error
    return stream


def _lock_soon(stream: TextIO) -> None:
    """Take the lock; raise BlockingIOError if it is still held after a moment (`holder` looks that long at most)."""
    for _ in range(5):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.1)
    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def holder(path: str | Path) -> str | None:
    """Return who holds the lock on `path` ("process on host"), or None if nobody does."""
    try:
        with Path(path).open("r", encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return stream.read().strip() or "unknown"
    except OSError:
        pass
    return None
