"""Weights by address, kept under a name of their own; their first checksum must hold ever after."""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import unquote, urlsplit

from avzsl.contracts.atomic import write_text
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import safe_name, sha256_file, sha256_text
from avzsl.contracts.secrets import place_of
from avzsl.runtime import download as files

logger = logging.getLogger(__name__)


def download(url: str, folder: Path, sha256: str | None = None) -> tuple[Path, str]:
    """Return the local copy of `url` in `folder` and its SHA-256, fetching it if it is not there.

    The checksum must be `sha256` if given; otherwise that of the first complete download is recorded beside the file
    and must hold ever after: a network is known by it.

    Raises DataError if the file cannot be fetched or its checksum is another one.
    """
    name = safe_name(unquote(Path(urlsplit(url).path).name) or "download")
    target = Path(folder) / f"{name.rsplit('.', 1)[0]}-{sha256_text(url)[:12]}"
    record = files.recorded(target)
    expected = sha256.lower() if sha256 else record
    if not target.is_file():
        files.download(
            [url], target, sha256=expected, by_hand="fetch it by hand and name the file in features.weights.path"
        )
    digest = sha256_file(target)
    if expected and digest != expected:
        raise DataError(target, f"has sha256 {digest}, expected {expected}; delete it to fetch {place_of(url)} again")
    if record is None:
        write_text(target.with_name(target.name + ".sha256"), f"{digest}  {place_of(url)}\n")
        logger.info("recorded sha256 %s of %s", digest, place_of(url))
    return target, digest
