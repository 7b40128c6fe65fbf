"""Is there a GPU? Asked without torch, where jobs are planned."""

from __future__ import annotations

from pathlib import Path


def wants_gpu(device: str) -> bool:
    """Return whether a job under the configured `device` should ask for a GPU.

    `auto` asks for one where this machine has one. On a cluster the machine that plans usually has none: there the
    configuration says `cuda`.
    """
    return device == "cuda" or (device == "auto" and Path("/dev/nvidia0").exists())
