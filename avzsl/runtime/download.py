"""Download a file once: several addresses, resumed after a break, checked, cached."""

from __future__ import annotations

import fcntl
import http.client
import logging
import re
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from avzsl.contracts.atomic import write_text
from avzsl.contracts.errors import AvzslError
from avzsl.contracts.hashing import sha256_file

logger = logging.getLogger(__name__)

CHUNK = 1 << 20
TIMEOUT = 30.0
# Waits before the second and third attempt at one address, in seconds.
PAUSES = (1.0, 4.0)


class _BrokenError(Exception):
    """The connection ended early; what came so far is kept and asking again may help."""


class _RefusedError(Exception):
    """The server said no, or sent something else; asking again does not help."""


def download(
    urls: Sequence[str], path: str | Path, *, sha256: str | None = None, by_hand: str = "", timeout: float = TIMEOUT
) -> Path:
    """Return `path`, downloaded from the first of `urls` that gives it.

    A file that is there already is used again if its checksum is still that of `sha256` or, without one, the one
    recorded beside it (`NAME.sha256`) when it was first downloaded. A broken transfer leaves `NAME.part` and goes
    on from there, also in a later run; the file gets its name only when it is whole.

    Raises AvzslError, with every address and what it said, and `by_hand` (a sentence: where to get the file and
    which key to set), if none gives the file or what comes has the wrong checksum.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two jobs may want the same file
        if path.is_file() and _is_whole(path, sha256):
            return path
        problems = []
        for url in urls:
            try:
                digest = _fetch(url, path, sha256, timeout)
            except (_BrokenError, _RefusedError) as error:
                problems.append(f"{url}: {error}")
                logger.warning("%s: %s", url, error)
                continue
            write_text(path.with_name(path.name + ".sha256"), f"{digest}  {path.name}\n")
            return path
    said = "; ".join(problems) or "no address is known"
    raise AvzslError(f"{path.name} could not be downloaded ({said}).{' ' + by_hand if by_hand else ''}")


def _is_whole(path: Path, sha256: str | None) -> bool:
    note = path.with_name(path.name + ".sha256")
    expected = sha256 or (note.read_text(encoding="utf-8").split()[0] if note.is_file() else None)
    if expected is None or sha256_file(path) == expected:
        return True
    logger.warning("%s: its checksum is no longer the expected one; downloading it again", path)
    return False


def _fetch(url: str, path: Path, sha256: str | None, timeout: float) -> str:
    """Download `url` to `path` and return its checksum; every attempt goes on where the last one broke."""
    if not url.startswith(("http://", "https://")):
        raise _RefusedError("is not an http or https address")
    part = path.with_name(path.name + ".part")
    for attempt in range(len(PAUSES) + 1):
        try:
            _transfer(url, part, timeout)
            break
        except _BrokenError as error:
            if attempt == len(PAUSES):
                raise
            logger.info("%s: %s; trying again in %.0f s", url, error, PAUSES[attempt])
            time.sleep(PAUSES[attempt])
    digest = sha256_file(part)
    if sha256 is not None and digest != sha256:
        part.unlink()
        raise _RefusedError(f"the file has checksum {digest}, expected {sha256}")
    part.replace(path)
    return digest


def _transfer(url: str, part: Path, timeout: float) -> None:
    origin = part.with_name(part.name + ".url")
    # A part from another address may be another version of the file.
    if not (origin.is_file() and origin.read_text(encoding="utf-8") == url):
        part.unlink(missing_ok=True)
        write_text(origin, url)
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "avzsl", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout) as answer:
            resumed = answer.status == 206 and _range_start(answer.headers.get("Content-Range")) == have
            length = answer.headers.get("Content-Length")
            expected = (have if resumed else 0) + int(length) if length and length.isdigit() else None
            with part.open("ab" if resumed else "wb") as stream:
                while chunk := answer.read(CHUNK):
                    stream.write(chunk)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            part.unlink()  # the part is longer than the file: start anew
            raise _BrokenError("the partial file did not fit") from error
        kind = _BrokenError if error.code >= 500 or error.code == 429 else _RefusedError
        raise kind(f"HTTP {error.code} {error.reason}") from error
    except http.client.IncompleteRead as error:
        raise _BrokenError("the connection ended early") from error
    except urllib.error.URLError as error:
        raise _RefusedError(f"cannot be reached ({error.reason})") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _BrokenError(str(error) or type(error).__name__) from error
    if expected is not None and part.stat().st_size != expected:
        raise _BrokenError(f"got {part.stat().st_size} of {expected} bytes")
    origin.unlink(missing_ok=True)


def _range_start(header: str | None) -> int | None:
    found = re.match(r"bytes (\d+)-", header or "")
    return int(found[1]) if found else None
