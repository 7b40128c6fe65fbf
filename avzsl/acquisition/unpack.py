"""Unpack an archive that may be hostile: plain files below one folder, and no more bytes than allowed."""

from __future__ import annotations

import errno
import hashlib
import logging
import lzma
import os
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import rarfile

from avzsl.acquisition.errors import AcquisitionError, first_sentence
from avzsl.acquisition.place import disk_error
from avzsl.runtime.tapes import is_tar, open_tar, tar_files

logger = logging.getLogger(__name__)

_CHUNK = 1 << 20
# What rarfile unpacks with, one process a file.
_RAR_PROGRAMS = ("unrar", "unar", "7z", "7zz")
_BAD = (
    tarfile.TarError,
    zipfile.BadZipFile,
    rarfile.Error,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)
# Empty members cost no bytes; a list of names and memory they do.
_MOST_MEMBERS = 10_000_000
# How file systems refuse a name.
_NAMES = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR}

_Member = tuple[str, Callable[[], IO[bytes] | None]]


def unpack(archive: Path, folder: Path, max_bytes: int, allow_damaged: bool = False) -> str:
    """Unpack the regular files of a tar (also compressed), zip or rar archive to `folder`, which is made anew.

    Links, devices, absolute names, names that lead out of the folder and names that the file system refuses are left
    out. Permissions, owners and times of the archive are not taken over. With `allow_damaged`, what can be read of a
    damaged archive is kept. Returns the SHA-256 of the list of names and sizes that were unpacked.

    Raises AcquisitionError if the file is no whole archive, holds more than `max_bytes` unpacked, or is a rar
    whose unpacker is not installed; nothing is left under `folder` then.
    """
    unpacked = folder.with_name(f".part-{folder.name}")
    shutil.rmtree(unpacked, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    unpacked.mkdir(parents=True)
    left = max_bytes
    unfinished = unpacked / ".unfinished"
    listed = hashlib.sha256()
    try:
        with _members(archive, max_bytes) as members:
            for number, (name, opened) in enumerate(members):
                if number == _MOST_MEMBERS:
                    raise AcquisitionError(f"{archive}: has more than {_MOST_MEMBERS} members")
                target = _target(unpacked, name)
                stream = None if target is None else opened()
                if target is None or stream is None:
                    continue
                size = 0
                with stream, unfinished.open("wb") as out:
                    while chunk := stream.read(_CHUNK):
                        # What comes out is counted, not what the archive claims.
                        size += len(chunk)
                        if size > left:
                            raise AcquisitionError(f"{archive}: unpacks to more than max_unpacked_bytes = {max_bytes}")
                        out.write(chunk)
                left -= size
                if not _named(unfinished, target):
                    continue
                listed.update(f"{size} {name}\n".encode("utf-8", "surrogateescape"))
        unpacked.replace(folder)
    except rarfile.RarCannotExec as error:
        raise AcquisitionError(
            f"{archive}: unpacking rar needs one of the programs unrar, unar, 7z or bsdtar; install one"
        ) from error
    except (*_BAD, OSError) as error:
        # gzip and bz2 raise an OSError without a number for what is in a file.
        if isinstance(error, OSError) and error.errno is not None:
            raise disk_error(error, folder) or AcquisitionError(f"{archive}: {first_sentence(error)}") from error
        message = f"{archive}: is not a whole archive ({first_sentence(error)})"
        if not allow_damaged:
            raise AcquisitionError(f"{message}; fetch it again, or take what it holds with allow_damaged") from error
        logger.warning("%s; its later files are missing", message)
        unfinished.unlink(missing_ok=True)
        unpacked.replace(folder)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return listed.hexdigest()


def _target(folder: Path, name: str) -> Path | None:
    """Return where a member goes, its folder made, or None if it may not go anywhere."""
    target = _inside(folder, name)
    return (
        target
        if target is not None and _usable(name, lambda: target.parent.mkdir(parents=True, exist_ok=True))
        else None
    )


def _named(unfinished: Path, target: Path) -> bool:
    return _usable(target.name, lambda: unfinished.replace(target))


def _usable(name: str, use: Callable[[], object]) -> bool:
    """Return whether the file system takes a name; one that it refuses costs its member alone."""
    try:
        use()
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno not in _NAMES:
            raise
        logger.warning("a member is left out, for its name cannot be used here: %s...", first_sentence(name, 60))
        return False
    return True


def _inside(folder: Path, name: str) -> Path | None:
    """Return the path of a member below `folder`, or None if it would lie anywhere else."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part != "."]
    # A drive letter is a Windows path; a member that begins with a dot could be taken for one of our own files.
    if path.is_absolute() or not parts or ".." in parts or ":" in parts[0] or "\0" in name or parts[0].startswith("."):
        return None
    target = folder.joinpath(*parts)
    # A file where another member wants a folder. `os.path` finds no file under a name that none can have.
    blocked = os.path.isdir(target) or any(os.path.isfile(p) for p in target.parents if p != folder)  # noqa: PTH112, PTH113
    return None if blocked else target


@contextmanager
def _members(archive: Path, max_bytes: int) -> Iterator[Iterator[_Member]]:
    """Yield the regular files of an archive one after the other, each with a function that opens it."""
    if not archive.is_file():
        raise AcquisitionError(f"{archive}: the archive does not exist")
    if not is_tar(archive) and zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as box:
            # The upper 16 bits hold a Unix mode; a symbolic link would be a small file with the target's name.
            files = [i for i in box.infolist() if not i.is_dir() and (i.external_attr >> 28) in {0, 8}]
            yield ((info.filename, partial(box.open, info)) for info in files)
    elif rarfile.is_rarfile(archive):
        kinds: list[int] = []
        with rarfile.RarFile(archive, info_callback=lambda block: kinds.append(block.type)) as rar:
            yield _rar_files(archive, rar, whole=rarfile.RAR_BLOCK_ENDARC in kinds)
    else:
        with open_tar(archive) as bytes_of:
            yield tar_files(bytes_of, max_bytes)


def _rar_files(archive: Path, rar: rarfile.RarFile, whole: bool) -> Iterator[_Member]:
    program = shutil.which("bsdtar")
    if program is None or (not rar.is_solid() and any(map(shutil.which, _RAR_PROGRAMS))):
        yield from ((info.filename, partial(rar.open, info)) for info in rar.infolist() if info.is_file())
    else:
        yield from _streamed_rar(archive, program)
    if not whole:
        # The library stops without a word where a header is missing or broken.
        raise EOFError("its end mark is missing")


def _streamed_rar(archive: Path, program: str) -> Iterator[_Member]:
    """Yield the files of a rar archive that bsdtar turns into a tar: one pass, where a solid rar costs one pass a file."""
    command = [program, "-cf", "-", "--format=pax", f"@{archive.absolute()}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            yield from tar_files(process.stdout, None)
            if process.wait() != 0:
                raise RuntimeError("bsdtar cannot read all of it; another program, such as unrar, may")
        finally:
            process.kill()
