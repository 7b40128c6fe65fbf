"""Files in tar, zip and rar archives: unpacked once, safely, then a folder like any other."""

from __future__ import annotations

import glob
import os
import threading
from pathlib import Path
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
from avzsl.contracts.hashing import safe_name, sha256_text
from avzsl.contracts.secrets import masked, place_of
from avzsl.runtime.locks import waiting

_DONE = ".unpacked"


class Archive:
    """Archives on this machine or on a server."""

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
        # The folder is named after the list, so that another list is unpacked anew.
        self._root = root / f"{safe_name(self.name)}-{sha256_text(chr(10).join(config.archives))[:8]}"
        self._folder = Folder(
            FolderSource(
                kind="folder", root=str(self._root), name=self.name, file=config.file, trimmed=config.trimmed, search=config.search
            )
        )  # fmt: skip

    def open(self) -> None:
        """Unpack whatever is not unpacked yet; other shards wait meanwhile."""
        self._root.mkdir(parents=True, exist_ok=True)
        lock = self._root.with_name(f"{self._root.name}.lock")
        with waiting(lock, self._stop, StoppedError(f"{lock}: the run is ending")):
            for number, archive in enumerate(self._archives()):
                marker = self._root / f"{_DONE}-{number:04d}"
                if marker.is_file() and marker.read_text(encoding="utf-8") == archive:
                    continue
                path = self._download(archive) if "://" in archive else Path(archive)
                unpack(path, self._root / f"{number:04d}", self._config.max_unpacked_bytes, self._config.allow_damaged)
                marker.write_text(archive, encoding="utf-8")
                if "://" in archive:
                    path.unlink(missing_ok=True)
        self._folder.open()

    def close(self) -> None:
        self._folder.close()

    def fetch(self, clip: Clip, work: Work) -> Fetched:
        return self._folder.fetch(clip, work)

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
