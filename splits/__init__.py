"""Metadata -> clips -> seen/unseen subsets -> audit. The functions are imported on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from splits.audit import Audit, audit_split, write_audit
    from splits.build import Split, build_split, write_split
    from splits.export import write_lists

__all__ = ["Audit", "Split", "audit_split", "build_split", "write_audit", "write_lists", "write_split"]


_MODULES = {"Audit": "audit", "audit_split": "audit", "write_audit": "audit", "write_lists": "export"}


def __getattr__(name: str) -> Any:
    # Importing `splits.catalogs` must stay cheap: Snakemake does it in every job to check the configuration.
    if name not in __all__:
        raise AttributeError(f"module 'splits' has no attribute {name!r}")
    return getattr(importlib.import_module(f"splits.{_MODULES.get(name, 'build')}"), name)
