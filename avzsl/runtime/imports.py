"""Imports of much at once."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Import what a job takes: modules are no garbage, so that none is looked for among them, now or when the process ends.

    Otherwise that is a third of what a process pays for torch.
    """
    on, before = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > before:
            gc.freeze()
        if on:
            gc.enable()
