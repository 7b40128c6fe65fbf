"""Where a second recording begins in a file that was joined byte by byte: a walk over its outermost parts by their sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

# Parts that are looked at; a two-hour FLV has 600,000.
_MOST_PARTS = 1_000_000

_EBML, _SEGMENT, _CLUSTER = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_FLV_HEADER = 9 + 4

# The first bytes of a part -> whether a recording begins with it, and its size in bytes; None where there is no such part.
_Part = Callable[[bytes], tuple[bool, int] | None]


def second_beginning(path: Path) -> int | None:
    """Return the byte at which a second recording begins, or None: of MP4 and MOV, Matroska and WebM, AVI, ASF and FLV.

    Sources: ISO/IEC 14496-12 4.2 (boxes), RFC 8794 4 to 6 (EBML elements), the ASF specification 2.1 (objects), Adobe's FLV
    specification E.2 to E.4 (tags), Microsoft's RIFF (chunks).
    """
    try:
        with path.open("rb") as file:
            return _walk(file, path.stat().st_size)
    except (OSError, OverflowError):  # what cannot be read is for the demuxer to report
        return None


def _walk(file: BinaryIO, size: int) -> int | None:
    head = file.read(32)
    part = next((part for mark, part in _KINDS if mark(head)), None)
    if part is None:
        return None
    place, seen = 0, False
    for _ in range(_MOST_PARTS):
        if place >= size:
            return None
        file.seek(place)
        found = part(file.read(32))
        if found is None:
            return None
        begins, length = found
        if begins and seen:
            return place
        seen = seen or begins
        place += length
    return None


def _box(head: bytes) -> tuple[bool, int] | None:
    length = int.from_bytes(head[:4], "big")
    if length == 1:
        length = int.from_bytes(head[8:16], "big")
    # A file may lack `ftyp`, but not `moov`, and pieces of one stream may each bring a `ftyp`.
    return (head[4:8] == b"moov", length) if length >= 8 else None


def _element(head: bytes) -> tuple[bool, int] | None:
    width = _width(head[:1])
    if not 1 <= width <= 4:
        return None
    name, rest = head[:width], head[width:]
    bytes_of_size = _width(rest[:1])
    if not 1 <= bytes_of_size <= 8 or len(rest) < bytes_of_size:
        return None
    unknown = (1 << (7 * bytes_of_size)) - 1
    length = int.from_bytes(rest[:bytes_of_size], "big") & unknown
    if length == unknown:  # written live: what it holds follows
        if name not in (_SEGMENT, _CLUSTER):
            return None
        length = 0
    return name == _EBML, width + bytes_of_size + length


def _width(first: bytes) -> int:
    """Return how many bytes a number of variable size takes, from its first; 9 if that says nothing."""
    return 9 - first[0].bit_length() if first else 9


def _object(head: bytes) -> tuple[bool, int] | None:
    length = int.from_bytes(head[16:24], "little")
    return (head[:16] == _ASF, length) if length >= 24 else None


def _tag(head: bytes) -> tuple[bool, int] | None:
    if head[:3] == b"FLV":
        return True, _FLV_HEADER
    if len(head) < 11 or head[0] & 0x1F not in (8, 9, 18):
        return None
    return False, 11 + int.from_bytes(head[1:4], "big") + 4


def _chunk(head: bytes) -> tuple[bool, int] | None:
    if len(head) < 12:
        return None
    length = int.from_bytes(head[4:8], "little")
    return head[:4] == b"RIFF" and head[8:12] == b"AVI ", 8 + length + length % 2


_KINDS: tuple[tuple[Callable[[bytes], bool], _Part], ...] = (
    (lambda head: head[:4] == _EBML, _element),
    (lambda head: head[:3] == b"FLV", _tag),
    (lambda head: head[:16] == _ASF, _object),
    (lambda head: head[:4] == b"RIFF" and head[8:12] == b"AVI ", _chunk),
    (lambda head: head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"), _box),
)
