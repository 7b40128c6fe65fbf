"""Inside a decoding process: its limits, its pipes, its end."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import BinaryIO

# Address space of a decoding process: an 8K stream needs about two of these eight GiB.
MEMORY_BYTES = 8 << 30


def confine() -> tuple[BinaryIO, BinaryIO]:
    """Limit this process and return the pipes of its messages: what the parent sends, and what goes to the parent.

    What libraries print goes to the error stream, away from the messages. The process ends with its parent, also in the
    middle of a decode.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    if sys.platform != "win32":
        import resource

        for name, limit in ((resource.RLIMIT_AS, MEMORY_BYTES), (resource.RLIMIT_CORE, 0)):
            # A stricter limit of the system stays as it is.
            with contextlib.suppress(ValueError, OSError):
                _, hard = resource.getrlimit(name)
                resource.setrlimit(name, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    return sys.stdin.buffer, answers


def run(serve: Callable[[BinaryIO, BinaryIO], None]) -> None:
    """Confine this process and let it `serve` its parent, with the pipes of `confine`, until that is gone."""
    try:
        serve(*confine())
    except (BrokenPipeError, EOFError, KeyboardInterrupt):
        os._exit(0)  # there is nobody to tell


def admit_gpu() -> None:
    """Let this process use a GPU: its driver reserves more addresses than `confine` allows, so that what is written is limited."""
    import resource

    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(
            resource.RLIMIT_DATA, (MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard), hard)
        )


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
