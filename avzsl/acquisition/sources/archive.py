"""Files in tar, zip and rar archives: unpacked once, safely, then a folder like any other."""

from __future__ import annotations

import glob
import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from avzsl.acquisition import network
from avzsl.acquisition.clip import Clip
from avzsl.acquisition.errors import AcquisitionError, ClipError, StoppedError
from avzsl.acquisition.pace import Pace
from avzsl.acquisition.sources.base import Fetched, Work
from avzsl.acquisition.sources.folder import Folder
from avzsl.acquisition.transfer import download
from avzsl.acquisition.unpack import unpack
from avzsl.config.sources import ArchiveSource, FolderSource
from avzsl.contracts.atomic import write_json
from avzsl.contracts.hashing import safe_name, sha256_text
from avzsl.contracts.secrets import filled, masked, place_of, remember_address
from avzsl.runtime.locks import waiting

_MARKER = ".unpacked-"


class Archive:
    """Archives on this machine or on a server, each unpacked to a folder named after its content."""

    remote = False
    parallel = 1
    attempts = 1
    backoff_s = 0.0

    def __init__(self, config: ArchiveSource, state: Path, cache: Path, stop: threading.Event) -> None:
        self.name = config.name or f"archive:{Path(urlsplit(config.archives[0]).path).name}"
        self._config = config
        self._stop = stop
        self._pace_state = state
        root = Path(os.path.expandvars(config.unpack_to)).expanduser() if config.unpack_to else cache
        self._root = root / safe_name(self.name)
        self._folder: Folder | None = None

    def open(self) -> None:
        """Unpack whatever is not unpacked yet; other shards wait meanwhile."""
        self._root.mkdir(parents=True, exist_ok=True)
        lock = self._root.with_name(f"{self._root.name}.lock")
        with waiting(lock, self._stop, StoppedError(f"{lock}: the run is ending")):
            roots = [self._unpacked(archive) for archive in self._archives()]
        config = self._config
        self._folder = Folder(
            FolderSource(
                kind="folder", root=str(self._root), name=self.name, file=config.file, trimmed=config.trimmed, search=config.search
            ), roots,
        )  # fmt: skip
        self._folder.open()

    def close(self) -> None:
        if self._folder is not None:
            self._folder.close()

    def fetch(self, clip: Clip, work: Work) -> Fetched:
        assert self._folder is not None, "opened before"
        return self._folder.fetch(clip, work)

    def _unpacked(self, archive: str) -> Path:
        """Return the folder that holds an archive's files.

        Its marker names what was unpacked, not where that lay: an archive that has moved is not unpacked again, and
        one that was replaced is.
        """
        remote = "://" in archive
        what = {"address": sha256_text(archive)} if remote else _stamp(Path(archive))
        for marker in sorted(self._root.glob(f"{_MARKER}*")):
            known = _read(marker)
            folder = self._root / marker.name.removeprefix(_MARKER)
            if folder.is_dir() and known.pop("members", None) and known == what:
                return folder
        path = self._download(archive) if remote else Path(archive)
        fresh = self._root / "unfinished"
        members = unpack(path, fresh, self._config.max_unpacked_bytes, self._config.allow_damaged)
        content = {**what, "members": members}
        folder = self._root / sha256_text(json.dumps(content, sort_keys=True))[:16]
        shutil.rmtree(folder, ignore_errors=True)
        fresh.replace(folder)
        write_json(self._root / f"{_MARKER}{folder.name}", content)
        if remote:
            path.unlink(missing_ok=True)
        return folder

    def _archives(self) -> list[str]:
        """Return files and addresses, globs resolved."""
        found: list[str] = []
        for entry in self._config.archives:
            if "://" in entry:
                found.append(entry)
                continue
            pattern = os.path.expanduser(os.path.expandvars(entry))  # noqa: PTH111 (a pattern, not yet a path)
            files = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (absolute patterns)
            if not files:
                raise AcquisitionError(f"{entry}: there is no such archive (source {self.name!r})")
            found += files
        return found

    def _download(self, url: str) -> Path:
        out = self._root / f"{safe_name(masked(url))}{Path(urlsplit(url).path).suffix}"
        pace = Pace(self._pace_state, f"http-{urlsplit(url).hostname}", self._config.pace, self._stop)
        remember_address(url := filled(url))
        client = network.session(socket_timeout=self._config.transfer.timeout_s)
        asked = False

        def opener(start: int, end: int | None) -> object:
            nonlocal asked
            if asked:
                pace.turn()
            asked = True
            return network.open_url(client, url, {"User-Agent": "avzsl"}, start, end)

        try:
            with pace.request():
                download(opener, out, self._config.max_unpacked_bytes, self._config.transfer, True)
        except ClipError as failure:
            raise AcquisitionError(
                f"{place_of(url)}: the archive cannot be fetched ({failure.status}: {failure.error}); run again later"
            ) from failure
        finally:
            client.close()
        return out


def _stamp(archive: Path) -> dict[str, Any]:
    """Return what tells an archive from another of its name without reading it."""
    facts = archive.stat()
    return {"name": archive.name, "size": facts.st_size, "mtime_ns": facts.st_mtime_ns}


def _read(marker: Path) -> dict[str, Any]:
    """Return what a marker says, nothing where it is none of ours."""
    try:
        value = json.loads(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
