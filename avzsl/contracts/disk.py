"""A disk that is full, or that may not be written to: told apart from bugs, and said in a sentence."""

from __future__ import annotations

import errno
import os
import re

_ROOM = "make room and run again, nothing half-written is left"
_ACCESS = "correct that and run again, nothing half-written is left"
_SAID = {
    errno.ENOSPC: f"the disk is full; {_ROOM}",
    errno.EDQUOT: f"the disk is full as far as your quota goes; {_ROOM}",
    errno.EFBIG: "grows larger than its file system or `ulimit -f` allows; use another folder and run again, nothing "
    "half-written is left",
    errno.EROFS: f"lies on a file system that is read-only; {_ACCESS}",
    errno.EACCES: f"permission to it is denied; {_ACCESS}",
    errno.EPERM: f"permission to it is denied; {_ACCESS}",
}
# How libraries that write by themselves spell what failed: Rust's, and C's.
_RUST = re.compile(r"\(os error (\d+)\)|\bcode: (\d+)\b")


def code_of(error: BaseException) -> int | None:
    """Return the errno of an error that a full or forbidden disk made, None for any other."""
    text = str(error)
    if "No usable temporary directory" in text:  # of Python's tempfile, which found no folder that takes a byte
        return errno.ENOSPC
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno if error.errno in _SAID else None
    named = _RUST.search(text)
    if named:
        code = int(named[1] or named[2])
        return code if code in _SAID else None
    return next((code for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if os.strerror(code) in text), None)


def sentence(error: BaseException) -> str | None:
    """Return what a user can do about an error of the disk: file, what is wrong, what to do; None for any other error."""
    code = code_of(error)
    return None if code is None else f"{getattr(error, 'filename', None) or '?'}: {_SAID[code]}"
