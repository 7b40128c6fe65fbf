"""Content hashes: what ties a result to the exact data and configuration it came from."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def sha256_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hex digits."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_text(text: str) -> str:
    """Return the SHA-256 of `text` in UTF-8 as 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def sha256_value(value: Any) -> str:
    """Return the SHA-256 of a JSON-like value, independent of the order of mapping keys."""
    return sha256_text(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str))


def shard_of(source_id: str, shards: int) -> int:
    """Return the shard, 0 <= shard < `shards`, that holds every clip of `source_id`.

    A hash of the source keeps the clips of one video together (it is fetched once) and moves
    no clip when the catalogue grows.
    """
    return int(hashlib.sha256(source_id.encode("utf-8")).hexdigest()[:16], 16) % shards


def safe_name(clip_id: str) -> str:
    """Return a file name stem for a clip id that may hold any character whatever.

    Readable characters of the id are kept for people; a hash keeps two ids apart. The result
    holds only letters, digits, '_' and '-', and never begins with '-' or '.'.
    """
    readable = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in clip_id)
    return f"{readable.strip('_-')[:48] or 'clip'}.{sha256_text(clip_id)[:12]}"
