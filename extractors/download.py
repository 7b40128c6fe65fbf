"""Fetch a file once: resumed where it stopped, checked by its SHA-256."""

from __future__ import annotations

import http.client
import logging
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit

from avzsl.contracts.atomic import write_text
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import safe_name, sha256_file, sha256_text
from avzsl.runtime.progress import progress

logger = logging.getLogger(__name__)

CHUNK = 1 << 20
ATTEMPTS = 5
RETRY_S = 1.0  # wait before the second attempt; doubled after each
TIMEOUT_S = 60.0


def download(url: str, folder: Path, sha256: str | None = None) -> tuple[Path, str]:
    """Return the local copy of `url` in `folder` and its SHA-256, fetching it if it is not there.

    A broken transfer is resumed from where it stopped, also by a later run. The checksum must be `sha256` if given;
    otherwise that of the first complete download is recorded beside the file and must hold ever after.

    Raises DataError if the file cannot be fetched or its checksum is another one.
    """
    name = safe_name(unquote(Path(urlsplit(url).path).name) or "download")
    target = Path(folder) / f"{name.rsplit('.', 1)[0]}-{sha256_text(url)[:12]}"
    record = target.with_name(target.name + ".sha256")
    recorded = record.read_text(encoding="utf-8").split()[0] if record.is_file() else None
    expected = sha256.lower() if sha256 else recorded
    if not target.is_file():
        partial = target.with_name(target.name + ".part")
        partial.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, partial)
        digest = sha256_file(partial)
        if expected and digest != expected:
            partial.unlink()
            raise DataError(target, f"{url} has sha256 {digest}, expected {expected}; the download was thrown away")
        partial.replace(target)
    else:
        digest = sha256_file(target)
        if expected and digest != expected:
            raise DataError(target, f"has sha256 {digest}, expected {expected}; delete it to fetch {url} again")
    if recorded is None:
        write_text(record, f"{digest}  {url}\n")
        logger.info("recorded sha256 %s of %s", digest, url)
    return target, digest


def _fetch(url: str, partial: Path) -> None:
    """Fetch until the file is whole; only attempts that bring nothing new are counted."""
    failures = 0
    while True:
        before = partial.stat().st_size if partial.exists() else 0
        try:
            _fetch_rest(url, partial)
            return
        except (OSError, http.client.HTTPException) as error:
            code = error.code if isinstance(error, urllib.error.HTTPError) else None
            grown = partial.exists() and partial.stat().st_size > before
            failures = 1 if grown else failures + 1
            logger.info("fetching %s stopped: %s", url, error)
            if code == 416:  # what is there is no beginning of the file: start anew
                partial.unlink(missing_ok=True)
            elif failures >= ATTEMPTS or (code is not None and code < 500):
                raise DataError(
                    partial,
                    f"{url} cannot be fetched ({error}); run again to go on, or fetch it by hand and name the file in features.weights.path",
                ) from error
            time.sleep(RETRY_S * (2**failures - 1))


def _fetch_rest(url: str, partial: Path) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        resumed = answer.status == 206
        length = answer.headers.get("Content-Length")
        total = int(length) + (have if resumed else 0) if length else None
        with partial.open("ab" if resumed else "wb") as out, progress(url, (total or 0) >> 20, "MiB") as ticker:
            ticker.advance(have >> 20 if resumed else 0)
            while chunk := answer.read(CHUNK):
                out.write(chunk)
                ticker.advance(len(chunk) >> 20)
            out.flush()
            os.fsync(out.fileno())
    size = partial.stat().st_size
    if total is not None and size != total:
        raise OSError(f"the server stopped after {size} of {total} bytes")
