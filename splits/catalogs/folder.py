"""Videos of your own: a folder whose sub-folders are the classes (docs/own-videos.md)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field, field_validator

from avzsl.config.base import LocalFolder, Section, Several, expand
from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.errors import AvzslError, ConfigError
from splits.catalogs.base import Catalog


class Options(Section):
    """Keys of `catalog:` for a folder of videos."""

    root: LocalFolder = Field(description="the folder; ~ and environment variables are expanded")
    source: str | None = Field(
        None,
        description="regular expression searched in `class/file`; its first group (or whole match) names the recording "
        "that clips were cut from. Default: every file is a recording of its own",
    )
    ignore: Several[str] = Field(
        (), description="patterns of file names that are no clips, such as *.txt; counted in the notes"
    )

    @field_validator("source")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"is not a regular expression ({error})") from error
        return value


def class_names(options: Options) -> list[str]:
    """Return the classes as the folder shows them, so that a wrong name is found before anything is built."""
    entries = _entries(expand(options.root))
    return [e.name for e in entries if _unwanted(e, options.ignore) is None and e.is_dir(follow_symlinks=False)]


def build(name: str, options: Options, dataset: DatasetConfig, cache: Path) -> Catalog:
    """List every file below the class folders; whether it is a video, the media stage finds out.

    A file that is left out (hidden, a link, ignored, outside every class folder, a name that is not UTF-8) is
    counted and named in the notes. Links are never followed: they could lead out of the folder or into it again.

    Raises ConfigError if the folder cannot be read, and AvzslError if it holds no class or no file.
    """
    import pandas as pd

    root = expand(options.root)
    if not root.is_dir():
        raise ConfigError(f"datasets/{name}.yaml: catalog.root: there is no folder {root}")
    left_out: dict[str, list[str]] = {}
    classes: list[str] = []
    files: list[tuple[str, str]] = []  # class, path relative to root
    for entry in _entries(root):
        reason = _unwanted(entry, options.ignore)
        if reason is None and not entry.is_dir(follow_symlinks=False):
            reason = "outside every class folder"
        if reason is not None:
            left_out.setdefault(reason, []).append(entry.name)
            continue
        classes.append(entry.name)
        files += [(entry.name, path) for path in _files(Path(entry.path), entry.name, options.ignore, left_out)]
    notes = [f"left out, {reason}: {len(names)} ({_sample(names)})" for reason, names in sorted(left_out.items())]
    if not files:
        also = f"; {'; '.join(notes)}" if notes else ""
        raise AvzslError(
            f"data set {name}: {root} holds no clips: expected {root}/CLASS NAME/CLIP.mp4 (any container){also}"
        )
    sources, unmatched = _sources([path for _, path in files], options.source)
    if unmatched:
        notes.append(
            f"catalog.source does not match {len(unmatched)} files, each its own recording ({_sample(unmatched)})"
        )
    clips = pd.DataFrame(
        {
            "clip_id": [path for _, path in files],
            "class_name": [class_name for class_name, _ in files],
            "source_id": sources,
            "path": [path for _, path in files],
        }
    )
    return Catalog(clips, pd.DataFrame({"class_name": classes}), notes)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise AvzslError(f"{folder}: cannot be read: {error.strerror or error}") from error


def _unwanted(entry: os.DirEntry[str], ignore: tuple[str, ...]) -> str | None:
    """Why an entry is neither a clip nor a folder of clips; None if it is one."""
    try:
        entry.name.encode("utf-8")
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if entry.name.startswith("."):
        return "hidden"
    if entry.is_symlink():
        return "a symbolic link"
    if entry.is_dir(follow_symlinks=False):
        return None
    if any(fnmatchcase(entry.name, pattern) for pattern in ignore):
        return "ignored by catalog.ignore"
    if not entry.is_file(follow_symlinks=False):
        return "not a regular file"
    return None


def _files(folder: Path, prefix: str, ignore: tuple[str, ...], left_out: dict[str, list[str]]) -> Iterator[str]:
    """Yield the files below a class folder, at any depth, as paths relative to the root with `/`."""
    for entry in _entries(folder):
        path = f"{prefix}/{entry.name}"
        reason = _unwanted(entry, ignore)
        if reason is not None:
            left_out.setdefault(reason, []).append(path)
        elif entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), path, ignore, left_out)
        else:
            yield path


def _sources(paths: list[str], pattern: str | None) -> tuple[list[str], list[str]]:
    """Return the source id of every path, and the paths that the pattern does not match."""
    if pattern is None:
        return list(paths), []
    expression = re.compile(pattern)
    sources, unmatched = [], []
    for path in paths:
        match = expression.search(path)
        found = match and (match.group(1) if expression.groups else match.group(0))
        if not found:
            unmatched.append(path)
        sources.append(found or path)
    return sources, unmatched


def _sample(names: list[str]) -> str:
    shown = ", ".join(ascii(name) if not name.isprintable() else repr(name) for name in names[:3])
    return shown + (", ..." if len(names) > 3 else "")
