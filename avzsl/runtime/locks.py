"""Locks between processes, on files; the kernel releases them when a process ends in whatever way, so none is ever stale."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from avzsl.contracts.errors import AvzslError

# Seconds between two looks at a lock that another process holds, where the wait can be called off.
_LOOK_S = 0.2


@contextlib.contextmanager
def exclusive(path: Path, busy: AvzslError) -> Iterator[None]:
    """Hold the lock file `path`; raises `busy` if another process holds it."""
    with _opened(path) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        yield


@contextlib.contextmanager
def waiting(path: Path, stop: threading.Event | None = None, stopped: AvzslError | None = None) -> Iterator[None]:
    """Hold the lock file `path`, waiting for other processes; raises `stopped` if `stop` is set meanwhile."""
    with _opened(path) as handle:
        if stop is None:
            fcntl.flock(handle, fcntl.LOCK_EX)
        while stop is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stop.wait(_LOOK_S):
                    raise (stopped or AvzslError(f"{path}: the run is ending")) from None
        yield


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield handle
    finally:
        os.close(handle)
