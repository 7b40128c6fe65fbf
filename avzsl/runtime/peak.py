"""The memory that this process has held at most."""

from __future__ import annotations

import resource
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_mb() -> int:
    """Return the peak resident memory of this process in MiB, pages of mapped files included.

    Linux hands getrusage's figure on to a process that is started, which then begins with its parent's; where the kernel
    tells this process's own, that is taken.
    """
    if STATUS.is_file():
        for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) >> 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
