"""Write beside the name, then rename into place: a reader never sees half a file."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from avzsl.contracts.disk import code_of
from avzsl.contracts.errors import AvzslError

# Names of ours alone: `sweep` removes by them.
_PREFIX = ".avzsl-unfinished-"


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `path`; rename it to `path` when the block succeeds.

    The data is flushed to disk before the rename, so that neither a kill nor a full disk can
    leave a truncated file under the final name. On an exception the temporary file is removed
    and `path` is untouched. What a full disk makes a library raise becomes an OSError that names `path`.
    """
    path = Path(path)
    with _named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix is kept because some writers choose their format by it.
        handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with _named(path, temporary):
            yield temporary
        # mkstemp makes files private; give them the permissions the user's umask asks for.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def _named(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Have an error of the disk name `path`, unless it is about another file."""
    try:
        yield
    except AvzslError:
        raise
    except Exception as error:
        code, about = code_of(error), getattr(error, "filename", None)
        if code is None or (temporary is not None and about not in {None, str(temporary)}):
            raise
        raise OSError(code, os.strerror(code), str(path)) from error


def sweep(folder: str | Path, older_s: float = 3600) -> None:
    """Remove what processes that were killed were just writing below `folder`: unfinished files not touched for long."""
    for path in Path(folder).rglob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.is_file() and time.time() - path.stat().st_mtime > older_s:
                path.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 to `path` in one step."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys, so that equal values give equal bytes.

    Raises ValueError for NaN and infinity: JSON has neither, and a table should hold null.
    """
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")
