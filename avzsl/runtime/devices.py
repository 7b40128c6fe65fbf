"""The machine: is there a GPU, what idle threads do, what becomes of freed memory. Asked and set without torch."""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path

# Threads of a pool that wait for the next product spin for a while by default, which takes the cores from the decoders
# beside them. libgomp (torch) reads the first, Intel's OpenMP the second, when it is loaded.
_SLEEP = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}

# Options of glibc's mallopt (malloc.h): how many blocks have a mapping of their own; how much free memory goes back.
_MMAP_MAX, _TRIM_THRESHOLD = -4, -1


def let_idle_threads_sleep() -> None:
    """Have this process's threads, and those of processes that it starts, sleep while they wait; before torch is loaded.

    What the user's environment says stands.
    """
    for name, value in _SLEEP.items():
        os.environ.setdefault(name, value)


def keep_freed_memory() -> None:
    """Have this process keep the memory that it frees for what it allocates next, where the C library is glibc.

    By default glibc gives every large block back and takes another from the system, which fills it with zeros page by page: an
    eighth of the time of a training step and of a window. The process's peak grows little, it only stays there.
    """
    if platform.libc_ver()[0] != "glibc" or any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = ctypes.CDLL(None).mallopt
    for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1)):
        mallopt(option, value)


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
