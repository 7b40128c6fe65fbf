"""A clock that was set back: files of ours from the future get the present time, and keep their order.

Snakemake compares times: beside files from the future every new one would be out of date, and is refused.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path

logger = logging.getLogger(__name__)

# Servers of files may be ahead by as much.
_AHEAD_NS = 1_000_000_000


def ahead(paths: Iterable[str | Path]) -> bool:
    """Return whether one of these files is from the future."""
    return any(moment > time.time_ns() + _AHEAD_NS for path in paths if (moment := _time(Path(path))))


def settle_times(folder: str | Path) -> int:
    """Bring the times of files below `folder` that are from the future to the present, in their order; return how many.

    They come after all others, as they did. What the files hold is not touched.
    """
    files = [path for path in Path(folder).rglob("*") if path.is_file() and not path.is_symlink()]
    times = {path: moment for path in files if (moment := _time(path))}
    now = time.time_ns()
    late = sorted((moment, path) for path, moment in times.items() if moment > now + _AHEAD_NS)
    begin = max((moment for moment in times.values() if moment <= now), default=now - len(late))
    for number, (_, path) in enumerate(late, 1):
        moment = begin + (now - begin) * number // len(late)
        with contextlib.suppress(OSError):
            os.utime(path, ns=(moment, moment))
    if late:
        logger.warning(
            "%s: the clock was set back; %d files from the future have the present time now", folder, len(late)
        )
    return len(late)


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
