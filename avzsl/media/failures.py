"""What PyAV raises for a file that it cannot read."""

from __future__ import annotations

import errno

import av

# What PyAV raises for a broken file: its own errors are not all OSErrors, and it may find a stream it does not know.
FAILURES = (av.error.FFmpegError, OSError, ValueError, IndexError)


def said(error: BaseException) -> str:
    """Return FFmpeg's words without the name of the file, which has its own column."""
    # A demuxer that gives up returns -1, which reads as "Operation not permitted".
    if isinstance(error, av.error.FFmpegError) and error.errno == errno.EPERM:
        return "damaged data"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
