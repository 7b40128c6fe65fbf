"""Unpack an archive that may be hostile: plain files below one folder, and no more bytes than allowed."""

from __future__ import annotations

import logging
import lzma
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

import rarfile

from avzsl.acquisition.errors import AcquisitionError, first_sentence
from avzsl.acquisition.place import disk_error

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


def unpack(archive: Path, folder: Path, max_bytes: int, allow_damaged: bool = False) -> None:
    """Unpack the regular files of a tar (also compressed), zip or rar archive to `folder`, which is made anew.

    Links, devices, absolute names and names that lead out of the folder are left out. Permissions, owners and
    times of the archive are not taken over. With `allow_damaged`, what can be read of a damaged archive is kept.

    Raises AcquisitionError if the file is no readable archive, holds more than `max_bytes` unpacked, or is a rar
    whose unpacker is not installed; nothing is left under `folder` then.
    """
    partial = folder.with_name(f".part-{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    partial.mkdir(parents=True)
    left = max_bytes
    unfinished = partial / ".unfinished"
    try:
        with _members(archive) as members:
            for name, stream in members:
                target = _inside(partial, name)
                if target is None:
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with stream, unfinished.open("wb") as out:
                    while chunk := stream.read(_CHUNK):
                        # What comes out is counted, not what the archive claims.
                        left -= len(chunk)
                        if left < 0:
                            raise AcquisitionError(f"{archive}: unpacks to more than max_unpacked_bytes = {max_bytes}")
                        out.write(chunk)
                unfinished.replace(target)
        partial.replace(folder)
    except rarfile.RarCannotExec as error:
        raise AcquisitionError(
            f"{archive}: unpacking rar needs one of the programs unrar, unar, 7z or bsdtar; install one"
        ) from error
    except _BAD as error:
        message = f"{archive}: is not a whole archive ({first_sentence(error)})"
        if not allow_damaged:
            raise AcquisitionError(f"{message}; fetch it again, or take what it holds with allow_damaged") from error
        logger.warning("%s; its later files are missing", message)
        unfinished.unlink(missing_ok=True)
        partial.replace(folder)
    except OSError as error:
        raise disk_error(error, folder) or AcquisitionError(f"{archive}: {first_sentence(error)}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _inside(folder: Path, name: str) -> Path | None:
    """Return the path of a member below `folder`, or None if it would lie anywhere else."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part != "."]
    # A drive letter is a Windows path; a member that begins with a dot could be taken for one of our own files.
    if path.is_absolute() or not parts or ".." in parts or ":" in parts[0] or "\0" in name or parts[0].startswith("."):
        return None
    target = folder.joinpath(*parts)
    # A file where another member wants a folder.
    return None if target.is_dir() or any(p.is_file() for p in target.parents if p != folder) else target


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """Yield the regular files of an archive one after the other."""
    if not archive.is_file():
        raise AcquisitionError(f"{archive}: the archive does not exist")
    if zipfile.is_zipfile(archive) and not tarfile.is_tarfile(archive):
        with zipfile.ZipFile(archive) as box:
            # The upper 16 bits hold a Unix mode; a symbolic link would be a small file with the target's name.
            files = [i for i in box.infolist() if not i.is_dir() and (i.external_attr >> 28) in {0, 8}]
            yield ((info.filename, box.open(info)) for info in files)
    elif rarfile.is_rarfile(archive):
        with rarfile.RarFile(archive) as rar:
            program = shutil.which("bsdtar")
            if program is None or (not rar.is_solid() and any(map(shutil.which, _RAR_PROGRAMS))):
                yield ((info.filename, rar.open(info)) for info in rar.infolist() if info.is_file())
            else:
                yield _rar_files(archive, program)
    else:
        with tarfile.open(archive, "r|*") as tape:
            yield _tar_files(tape)


def _rar_files(archive: Path, program: str) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the files of a rar archive that bsdtar turns into a tar: one pass, where a solid rar costs one pass a file."""
    command = [program, "-cf", "-", "--format=pax", f"@{archive.absolute()}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tape:
                yield from _tar_files(tape)
            if process.wait() != 0:
                raise RuntimeError("bsdtar cannot read all of it; another program, such as unrar, may")
        finally:
            process.kill()


def _tar_files(tape: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in tape:
        if member.isreg():
            stream = tape.extractfile(member)
            if stream is not None:
                yield member.name, stream
