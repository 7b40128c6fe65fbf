"""Acquisition: from a shard's list of clips to its media files and manifest.

`fetch_shard` is the entry. The names below are loaded on first use, because the decoding processes
import this package too and must start without pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avzsl.acquisition.errors import AcquisitionError, StoppedError
    from avzsl.acquisition.fetch import fetch_shard
    from avzsl.acquisition.release import release_shard, restore_shard

_HOME = {
    "fetch_shard": "fetch",
    "release_shard": "release",
    "restore_shard": "release",
    "AcquisitionError": "errors",
    "StoppedError": "errors",
}

__all__ = ["AcquisitionError", "StoppedError", "fetch_shard", "release_shard", "restore_shard"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
