"""Files that are on this machine already."""

from __future__ import annotations

import itertools
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from avzsl.acquisition.clip import Clip, relative_path
from avzsl.acquisition.errors import AcquisitionError, ClipError, first_sentence
from avzsl.acquisition.sources.base import Fetched, Work
from avzsl.config.sources import FolderSource


class Folder:
    """Files below a folder (or several, `roots`), by their path or, with `search`, by their name anywhere below it."""

    remote = False
    parallel = 1
    attempts = 1
    backoff_s = 0.0

    def __init__(self, config: FolderSource, roots: Sequence[Path] = ()) -> None:
        self.name = config.name or f"folder:{config.root}"
        self._config = config
        self._root = Path(os.path.expandvars(config.root)).expanduser()
        self._roots = roots or (self._root,)
        self._index: dict[str, list[Path]] = {}

    def open(self) -> None:
        if not self._root.is_dir():
            raise AcquisitionError(
                f"{self._root}: the source folder does not exist; correct `root` in the data set's YAML"
            )
        if self._config.search:
            self._index = index_trees(self._roots)

    def close(self) -> None:
        self._index = {}

    def fetch(self, clip: Clip, work: Work) -> Fetched:
        path = self._find(relative_path(clip.fill(self._config.file)))
        check_file(path, work.media.max_bytes)
        return Fetched(path, in_place=self._config.in_place, is_segment=self._config.trimmed)

    def _find(self, relative: os.PathLike[str]) -> Path:
        if not self._config.search:
            found = [root / relative for root in self._roots]
            return next((path for path in found[:-1] if path.exists()), found[-1])
        wanted = Path(relative)
        hits = self._index.get(wanted.name) or self._index.get(wanted.stem) or []
        # Two files of one name: the one whose folders fit the catalogue's path, or none at all.
        if len(hits) > 1:
            hits = [hit for hit in hits if hit.as_posix().endswith(f"/{wanted.as_posix()}")]
        if len(hits) != 1:
            problem = "no file" if not hits else f"{len(hits)} files"
            raise ClipError("missing", f"{problem} named {wanted.name} below {self._root}")
        return hits[0]


def index_trees(roots: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the files below `roots` by name, by stem and by a last [id]; links to folders are not followed."""
    index: dict[str, list[Path]] = {}
    for folder, _, names in itertools.chain.from_iterable(os.walk(root, followlinks=False) for root in roots):
        for name in names:
            path = Path(folder, name)
            # yt-dlp names files `title [id].ext` unless told otherwise.
            tagged = re.search(r"\[([^\[\]]+)\]$", path.stem)
            for key in {path.name, path.stem, tagged[1] if tagged else path.stem}:
                index.setdefault(key, []).append(path)
    return index


def check_file(path: Path, max_bytes: int) -> os.stat_result:
    """Return the stat of a regular file of allowed size; raises ClipError otherwise.

    A pipe or a device with a video's name would block its reader for ever.
    """
    try:
        facts = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise ClipError("missing", f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise ClipError("missing", f"{path} cannot be read: {first_sentence(error)}") from error
    if not stat.S_ISREG(facts.st_mode):
        raise ClipError("corrupt", f"{path} is not a regular file")
    if facts.st_size == 0:
        raise ClipError("corrupt", f"{path} is empty")
    if facts.st_size > max_bytes:
        raise ClipError("too_large", f"{path} has {facts.st_size} bytes; media.max_bytes allows {max_bytes}")
    return facts
