"""How much may come out of how little: sizes that files announce, believed only as far as their bytes go."""

from __future__ import annotations

import zipfile
from pathlib import Path

# Less than this is read whatever its file is like.
SMALL = 64 << 20
# Numbers and lists of names do not shrink to a hundredth; what does is made to fill the memory.
SHRINKS = 100


def believable(announced: int, stored: int) -> bool:
    """Return whether `announced` bytes may come out of `stored` bytes of a file."""
    return announced <= max(SMALL, SHRINKS * stored)


def bomb_in(archive: zipfile.ZipFile) -> str | None:
    """Return the first member of a zip archive that announces more than is believable, None if there is none."""
    infos = (info for info in archive.infolist() if not believable(info.file_size, info.compress_size))
    return next((info.filename for info in infos), None)


def bomb_in_zip(path: Path) -> str | None:
    """Return what `bomb_in` says of a file, None also where it is no zip archive."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        return bomb_in(archive)
