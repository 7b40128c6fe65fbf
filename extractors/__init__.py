"""Clip -> windows -> per-second features -> averages.

`extract_shard` and `pack` are the two steps of the workflow. Importing this package loads neither torch nor FFmpeg nor
pandas: decoding processes import it too, and they should start at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from extractors.packing import pack
    from extractors.shards import extract_shard

__all__ = ["extract_shard", "pack"]


def __getattr__(name: str) -> Any:
    if name == "extract_shard":
        from extractors.shards import extract_shard

        return extract_shard
    if name == "pack":
        from extractors.packing import pack

        return pack
    raise AttributeError(f"module 'extractors' has no attribute {name!r}")
