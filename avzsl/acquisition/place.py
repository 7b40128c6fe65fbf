"""Put a fetched file where the shard keeps its media."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from avzsl.acquisition.errors import AcquisitionError

PARTIAL = ".part-"
ORIGINALS = "originals"

# A full or read-only disk is no clip's fault: the run ends and says so.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def stamp(path: Path) -> tuple[int, int]:
    """Return size and modification time (ns) of a file: what tells that it is still the same."""
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns


def shown(path: Path) -> str:
    """Return a path as the manifest spells it: relative to the working directory unless outside it."""
    absolute = path.absolute()
    try:
        return str(absolute.relative_to(Path.cwd()))
    except ValueError:
        return str(absolute)


def take(source: Path, partial: Path) -> Path:
    """Give a foreign file the name `partial`: a hard link where the file system allows, a copy elsewhere."""
    partial.unlink(missing_ok=True)
    # A symbolic link must become the file itself.
    source = source.resolve()
    try:
        os.link(source, partial)
    except OSError:
        shutil.copyfile(source, partial)
    return partial


def settle(partial: Path, final: Path) -> None:
    """Flush a finished file and rename it into place."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.replace(final)


def sweep(folder: Path) -> None:
    """Remove what a killed run left half-written in a shard's media folder (the caller holds the shard's lock)."""
    for path in (*folder.glob(f"{PARTIAL}*"), *folder.glob(f"{ORIGINALS}/{PARTIAL}*")):
        path.unlink(missing_ok=True)


def disk_error(error: OSError, folder: Path) -> AcquisitionError | None:
    """Return the error that ends the run if the disk is the problem."""
    if error.errno not in _DISK:
        return None
    reason = os.strerror(error.errno or 0).lower()
    return AcquisitionError(f"{folder}: {reason}; make room and run again, nothing fetched so far is lost")


@contextlib.contextmanager
def full_disk_said(folder: Path) -> Iterator[None]:
    """Turn a disk's OSError into the error that ends the run with a sentence."""
    try:
        yield
    except OSError as error:
        raise disk_error(error, folder) or error from error
