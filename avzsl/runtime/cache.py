"""A folder of finished work that projects and people share, keyed by content.

An entry is what a job made, under the hash of everything the result depends on. Whoever asks for the same thing
gets a copy; whoever makes it meanwhile is waited for. Entries carry checksums: a broken one is made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from avzsl.contracts.atomic import replacing, write_json
from avzsl.contracts.hashing import sha256_file

logger = logging.getLogger(__name__)

_RECORD = "entry.json"


def cached(
    folder: Path | None,
    key: str,
    files: Mapping[str, Path],
    make: Callable[[], object],
    good: Callable[[], bool] = lambda: True,
) -> bool:
    """Fill `files` (name in the entry -> where it is wanted) from the cache, or by `make`, which is then kept.

    `key` is a hash of everything the files depend on, hex digits. `good` looks at the files once they are where they
    are wanted: what is not good is neither taken from the cache nor kept in it. `folder` None: there is no cache. A cache that cannot be written to or is full costs a warning, never the
    job. Returns True if the cache had the files.
    """
    if folder is None:
        make()
        return False
    entry = folder / key[:2] / key
    with _alone(entry):
        if _take(entry, files) and good():
            logger.info("taken from the shared cache: %s", entry)
            return True
        make()
        if good():
            try:
                _put(entry, files)
            except OSError as error:
                logger.warning("%s: not kept in the shared cache (%s)", entry, error)
    return False


@contextlib.contextmanager
def _alone(entry: Path) -> Iterator[None]:
    """Hold the entry's lock, waiting for whoever makes it; the kernel drops the lock with its process."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        stream = entry.with_name(f"{entry.name}.lock").open("a", encoding="utf-8")
    except OSError as error:
        logger.warning("%s: the shared cache cannot be written to (%s)", entry.parent, error)
        yield
        return
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("waiting for another process that makes the same: %s", entry)
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError:  # a file system without locks: the same may be made twice, and is the same
            logger.debug("no locks in %s", entry.parent)
        yield


def _take(entry: Path, files: Mapping[str, Path]) -> bool:
    """Copy the entry's files to where they are wanted; False if there is no such entry or it is broken."""
    try:
        sums = json.loads((entry / _RECORD).read_text(encoding="utf-8"))["sha256"]
        if set(sums) != set(files):
            return False
        for name, path in files.items():
            with replacing(path) as temporary:
                shutil.copyfile(entry / name, temporary)
                if sha256_file(temporary) != sums[name]:
                    raise ValueError(f"{name} has changed")
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s: broken (%s); made again", entry, error)
        return False
    return True


def _put(entry: Path, files: Mapping[str, Path]) -> None:
    """Store copies under the entry in one step, in the place of a broken one."""
    made = Path(tempfile.mkdtemp(prefix=".tmp-", dir=entry.parent))
    try:
        sums = {}
        for name, path in files.items():
            shutil.copyfile(path, made / name)
            sums[name] = sha256_file(made / name)
        write_json(made / _RECORD, {"sha256": sums})
        umask = os.umask(0)
        os.umask(umask)
        made.chmod(0o777 & ~umask)
        if entry.exists():
            shutil.rmtree(entry)
        made.rename(entry)
    finally:
        shutil.rmtree(made, ignore_errors=True)
