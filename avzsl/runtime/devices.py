"""The machine: is there a GPU, and what idle threads do. Asked and set without torch."""

from __future__ import annotations

import os
from pathlib import Path

# Threads of a pool that wait for the next product spin for a while by default, which takes the cores from the decoders
# beside them. libgomp (torch) reads the first, Intel's OpenMP the second, when it is loaded.
_SLEEP = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


def let_idle_threads_sleep() -> None:
    """Have this process's threads, and those of processes that it starts, sleep while they wait; before torch is loaded.

    What the user's environment says stands.
    """
    for name, value in _SLEEP.items():
        os.environ.setdefault(name, value)


def wants_gpu(device: str) -> bool:
    """Return whether a job under the configured `device` should ask for a GPU.

    `auto` asks for one where this machine has one. On a cluster the machine that plans usually has none: there the
    configuration says `cuda`.
    """
    return device == "cuda" or (device == "auto" and Path("/dev/nvidia0").exists())


def cores_for_a_gpu(cores: int | None, gpus: int | None) -> int:
    """Return the cores of a job that has one of a run's `gpus`: its share of the `cores`.

    None where the run knows neither, as on a cluster: there `set-threads` of the profile says it, and 16 is the guess.
    """
    return max((cores or 16) // max(gpus or 1, 1), 1)
