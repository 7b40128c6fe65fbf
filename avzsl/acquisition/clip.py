"""One clip as acquisition sees it."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import pandas as pd

from avzsl.acquisition.errors import ClipError
from avzsl.contracts.errors import ConfigError
from avzsl.contracts.hashing import safe_name, sha256_value

# What stays unquoted in an address: a path keeps its folders, an address is one already.
_SAFE = {"path": "/", "url": ":/?#[]@!$&'()*+,;=%~"}
_TEXT = ("clip_id", "class_name", "source_id", "url", "path", "category", "official_subset", "licence")


@dataclass(frozen=True)
class Clip:
    """A row of the CLIPS table; every text may be hostile."""

    clip_id: str
    class_name: str
    source_id: str
    url: str | None = None
    path: str | None = None
    category: str | None = None
    official_subset: str | None = None
    licence: str | None = None
    start_s: float | None = None
    end_s: float | None = None

    @property
    def segmented(self) -> bool:
        """Whether the clip is a part of its video."""
        return self.start_s is not None or self.end_s is not None

    @cached_property
    def request(self) -> str:
        """A fingerprint of what is asked for."""
        return sha256_value([self.source_id, self.url, self.path, self.start_s, self.end_s])[:16]

    def file_name(self, suffix: str) -> str:
        """Return the name under which the clip's file is stored; `suffix` as the source spells it."""
        return safe_name(self.clip_id) + file_suffix(suffix)

    def fill(self, template: str, in_address: bool = False) -> str:
        """Fill a template of the configuration, such as `{source_id}_{start:06d}.mp4`.

        `in_address` quotes what the catalogue gives, so that no id can lead to another place of a site.
        Raises ClipError (missing) if the clip lacks a value, ConfigError if the template is wrong.
        """
        values: dict[str, object] = {name: getattr(self, name) for name in (*_TEXT, "start_s", "end_s")}
        values |= {
            "start": None if self.start_s is None else int(self.start_s),
            "end": None if self.end_s is None else int(self.end_s),
        }
        try:
            for _, name, _, _ in string.Formatter().parse(template):
                if name is None:
                    continue
                if name not in values:
                    raise ConfigError(f"{template!r}: unknown field {name!r}; known: {', '.join(sorted(values))}")
                if values[name] is None:
                    raise ClipError("missing", f"the catalogue gives no {name} for this clip")
            if in_address:
                values = {n: quote(v, safe=_SAFE.get(n, "")) if isinstance(v, str) else v for n, v in values.items()}
            return template.format(**values)
        except (ValueError, IndexError, KeyError, AttributeError) as error:
            raise ConfigError(f"{template!r}: is not a usable template: {error}") from error


def file_suffix(suffix: str) -> str:
    """Return a suffix that is safe in a file name; an odd one becomes `.media`, which FFmpeg does not mind."""
    suffix = suffix.lower()
    return suffix if suffix[1:].isascii() and suffix[1:].isalnum() and len(suffix) <= 6 else ".media"


def relative_path(text: str) -> PurePosixPath:
    """Return a catalogue's file name as a path below its source.

    Raises ClipError (missing) if the name would lead out of the source's folder.
    """
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\0" in text or not path.parts:
        raise ClipError("missing", f"{text!r} is not a path below the source's folder")
    return path


def clips_of(frame: pd.DataFrame) -> Iterator[Clip]:
    """Yield the rows of a CLIPS table; empty cells become None."""
    present = [name for name in (*_TEXT, "start_s", "end_s") if name in frame.columns]
    for values in frame[present].itertuples(index=False, name=None):
        row: dict[str, Any] = {n: None if pd.isna(v) else v for n, v in zip(present, values, strict=True)}
        yield Clip(**row)
