"""Tar archives that may be hostile: read as a stream, to an end that must be there, in little memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

_OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
    b"\x5d\0\0": lzma.open,
}
_CHUNK = 1 << 20
# Headers that stand for a longer name or further facts of the member after them; tarfile reads them whole.
_LONG = {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
_LONGEST = 1 << 20


def is_tar(path: Path) -> bool:
    """Return whether a file begins as a tar, or as something compressed, does; nothing is unpacked for it."""
    with path.open("rb") as stream:
        head = stream.read(tarfile.BLOCKSIZE)
    try:
        return _opener(head) is not None or bool(tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape"))
    except tarfile.HeaderError:
        return False


def _opener(head: bytes) -> Callable[[Path], Any] | None:
    return next((opener for mark, opener in _OPENERS.items() if head.startswith(mark)), None)


@contextmanager
def open_tar(path: Path) -> Iterator[IO[bytes]]:
    """Yield the bytes of a tar, unpacked if it is compressed; its checksums are compared as they are read."""
    with path.open("rb") as stream:
        opener = _opener(stream.read(tarfile.BLOCKSIZE))
    with path.open("rb") if opener is None else opener(path) as stream:
        yield stream


class ShortHeader(tarfile.TarInfo):
    """A header whose further facts are short: tarfile believes their announced size."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in _LONG and self.size > _LONGEST:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def tar_files(stream: IO[bytes], most_after: int | None) -> Iterator[tuple[str, Callable[[], IO[bytes] | None]]]:
    """Yield name and opener of each regular file of a tar, in order; each is opened before the next is asked for.

    Raises tarfile.ReadError, EOFError or the decompressor's error where the tar does not reach its end mark, or more
    than `most_after` bytes follow that.
    """
    ended = False

    class Header(ShortHeader):
        """A header that notes the end mark, which tarfile does without."""

        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Any:
            nonlocal ended
            ended = bytes(buf) == bytes(tarfile.BLOCKSIZE)
            return super().frombuf(buf, encoding, errors)

    with tarfile.open(fileobj=stream, mode="r|", tarinfo=Header) as tape:
        while (member := tape.next()) is not None:
            if member.isreg():
                yield member.name, partial(tape.extractfile, member)
            # The list of what was there grows with the archive.
            tape.members.clear()  # type: ignore[attr-defined]
    if not ended:
        raise tarfile.ReadError("its end mark is missing")
    # To the end of the compressed stream, where its checksum is.
    left = most_after
    while chunk := stream.read(_CHUNK):
        left = None if left is None else left - len(chunk)
        if left is not None and left < 0:
            raise tarfile.ReadError("too much follows its end mark")
