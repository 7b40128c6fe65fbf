"""The weights and vectors that a project was first built with: known by checksum in a file that can be committed.

The file (`weights.lock`, beside the project's configuration) is JSON: for every path or address, as the configuration
spells it, its kind, size and SHA-256. It holds no time and no place of a machine, so that equal projects give equal files.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from avzsl.contracts.atomic import write_json
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.runtime.locks import waiting
from avzsl.runtime.seals import STATE

logger = logging.getLogger(__name__)

NAME = "weights.lock"
_SHA256 = re.compile(r"[0-9a-f]{64}")
# What the job at work keeps; None outside of one: nothing is recorded then.
_lock: Path | None = None


def lock_weights(path: str | Path | None) -> None:
    """Have `first_use` keep its record in the file `path` from now on, nowhere if None."""
    global _lock  # noqa: PLW0603 (a process does one job)
    _lock = None if path is None else Path(path)


def first_use(name: str, path: Path, digest: str | None = None) -> str:
    """Return the SHA-256 of a file of weights or vectors, which must be that of the project's first use of it.

    `name` is its path or address as the configuration spells it; `digest` its checksum where that is known already. The
    first use is recorded; where the file cannot be written, a warning says what to add to it. Raises DataError if the file
    is another one now, or the record cannot be read.
    """
    digest = digest or sha256_file(path)
    if _lock is None:
        return digest
    if name not in _read(_lock):
        with _alone():
            known = _read(_lock)  # other jobs may have written meanwhile
            if name not in known:
                kind = "url" if "://" in name else "path"
                entry = {"kind": kind, "bytes": path.stat().st_size, "sha256": digest}
                _write(_lock, {**known, name: entry}, name)
                return digest
    recorded = _read(_lock)[name]["sha256"]
    if recorded != digest:
        raise DataError(
            path,
            f"has sha256 {digest}, but this project was first built with {recorded} ({_lock}); put that file back, or take "
            f"the entry {name!r} out of {_lock} to use the new one",
        )
    return digest


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a file system without locks: the next use records what is lost
            stack.enter_context(waiting(STATE / f"{NAME}.lock"))
        yield


def _read(lock: Path) -> dict[str, dict[str, Any]]:
    try:
        known = json.loads(lock.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            lock, f"cannot be read ({_short(error)}); restore it, or delete it to record weights anew"
        ) from error
    entries = known.values() if isinstance(known, dict) else [None]
    if not all(isinstance(e, dict) and _SHA256.fullmatch(str(e.get("sha256"))) for e in entries):
        raise DataError(lock, "is no record of weights; restore it, or delete it to record weights anew")
    return dict(known)


def _write(lock: Path, known: dict[str, dict[str, Any]], name: str) -> None:
    try:
        write_json(lock, known)
        logger.info("%s: recorded sha256 %s of %s", lock, known[name]["sha256"], name)
    except OSError as error:
        logger.warning(
            "%s: cannot be written (%s); it should hold %s", lock, _short(error), json.dumps({name: known[name]}, sort_keys=True)
        )  # fmt: skip


def _short(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0]
