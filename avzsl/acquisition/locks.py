"""Locks between processes that a kill releases."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from avzsl.acquisition.errors import AcquisitionError, StoppedError


@contextlib.contextmanager
def exclusive(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock file `path`; raises AcquisitionError with `busy` if another process holds it.

    The kernel releases the lock when the process ends in whatever way, so there are no stale locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AcquisitionError(busy) from None
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def waiting(path: Path, stop: threading.Event) -> Iterator[None]:
    """Hold the lock file `path`, waiting for other processes; raises StoppedError if `stop` is set meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stop.wait(0.2):
                    raise StoppedError(f"{path}: the run is ending") from None
        yield
    finally:
        os.close(handle)
