"""What to do about a file of weights that is not what its network needs."""

from __future__ import annotations


def fetch(where: str, key: str = "") -> str:
    """Return the advice to fetch the right file, `where` it is to be had, and to name it under `key` of the configuration."""
    return f"fetch the right file{f' and name it as `{key}`' if key else ''}: {where}"
