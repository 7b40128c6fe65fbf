"""Metadata files: a local one given in the configuration, or a cached download; folders and archives alike."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, model_validator

from avzsl.config.base import DownloadAddress, Local, Section, Several
from avzsl.contracts.errors import AvzslError, ConfigError, DataError
from avzsl.contracts.secrets import place_of
from avzsl.contracts.sizes import believable
from avzsl.runtime.download import download
from avzsl.runtime.seals import uses
from avzsl.runtime.tapes import ShortHeader

# No metadata file is near this size; an archive member that claims more is refused.
MAX_BYTES = 1 << 30
MAX_TEXT = 1 << 28
MAX_MEMBERS = 1_000_000
ARCHIVES = (".zip", ".whl", ".tar", ".tar.gz", ".tgz")


def _or_a_path(schema: dict[str, Any]) -> None:
    mapping = dict(schema)
    schema.clear()
    schema["anyOf"] = [mapping, {"type": "string"}]


class RemoteFile(Section):
    """A file by `path`, or else from the first of `urls` that gives it. A plain string is a path."""

    model_config = ConfigDict(json_schema_extra=_or_a_path)

    path: Annotated[str | None, Local("file or folder")] = Field(
        None, description="a file, archive or folder of yours, in place of the download"
    )
    urls: Several[DownloadAddress] = Field(
        (), description="where to fetch it; default: the official places; $NAME is an environment variable"
    )
    sha256: str | None = Field(None, description="expected checksum of the download")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    def locate(self, name: str, cache: Path | None, key: str, default_urls: tuple[str, ...] = ()) -> Path:
        """Return where the file (or folder) is; a download gets the file name `name` in `cache`.

        `key` is the configuration key that a user would set to give the file by hand.
        Raises ConfigError if a given path does not exist, AvzslError if nothing can be downloaded.
        """
        if self.path is not None:
            path = Path(self.path).expanduser()
            if not path.exists():
                raise ConfigError(f"{key}: {path} does not exist")
            uses(path)
            return path
        urls = self.urls or default_urls
        if cache is None:
            places = " or ".join(map(place_of, urls))
            raise AvzslError(
                f"{name} is needed and downloads are off here; get it from {places} and give `{key}: PATH`"
            )
        by_hand = f"get it by hand and give `{key}: PATH`"
        return download(urls, cache / name, sha256=self.sha256, by_hand=by_hand, max_bytes=MAX_BYTES)


class Files:
    """The files of a folder or archive by name, read in memory: nothing is unpacked, so no name can do harm."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members: dict[str, Any] = {}
        count = 0
        try:
            if path.is_dir():
                self._members = {p.relative_to(path).as_posix(): p for p in sorted(path.rglob("*")) if p.is_file()}
            elif path.name.endswith((".zip", ".whl")):
                self._zip = zipfile.ZipFile(path)
                self._members = {i.filename: i for i in self._zip.infolist() if not i.is_dir()}
            elif path.name.endswith(ARCHIVES):
                self._tar = tarfile.open(path, tarinfo=ShortHeader)  # noqa: SIM115 (closed with the object)
                while (member := self._tar.next()) is not None:
                    if member.isfile():
                        self._members[member.name] = member
                    count += 1
                    if count > MAX_MEMBERS:
                        raise tarfile.ReadError(f"more than {MAX_MEMBERS} members")
            else:
                self._members = {path.name: path}
        except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
            raise DataError(path, f"is not a whole archive ({error}); delete it and get it again") from error

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def find(self, ending: str) -> str | None:
        """Return the shortest member whose path ends in the parts of `ending`, or None."""
        hits = [name for name in self._members if name == ending or name.endswith("/" + ending)]
        return min(hits, key=lambda name: (len(name), name), default=None)

    def text(self, name: str) -> str:
        """Return a member as text; raises DataError if it is too large, broken or not UTF-8."""
        member = self._members[name]
        where = f"{self.path}/{name}" if not isinstance(member, Path) else str(member)
        try:
            if isinstance(member, Path):
                size, read = member.stat().st_size, member.read_bytes
                stored = size
            elif isinstance(member, zipfile.ZipInfo):
                size, read = member.file_size, lambda: self._zip.read(member)
                stored = member.compress_size
            else:
                stream = self._tar.extractfile(member) or io.BytesIO()
                size, read, stored = member.size, stream.read, self.path.stat().st_size
            if size > MAX_TEXT or not believable(size, stored):
                raise DataError(where, f"has {size} bytes; metadata files are never that large")
            return read().decode("utf-8-sig")
        except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, UnicodeDecodeError) as error:
            raise DataError(where, f"cannot be read as text ({error})") from error


def lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line number, line) of the lines that are not blank, numbered from 1."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line


def malformed(path: str | Path, number: int, line: str, expected: str) -> DataError:
    """Return the error for a line that is not what it should be."""
    shown = line if len(line) <= 80 else line[:77] + "..."
    return DataError(f"{path}, line {number}", f"expected {expected}, got {shown!r}")
