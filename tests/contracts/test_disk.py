"""A full disk is said with the file's name, whichever library was writing."""

from __future__ import annotations

import errno
import os
import resource
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import SafetensorError
from safetensors.numpy import save_file

from avzsl.contracts import disk
from avzsl.contracts.atomic import replacing, write_text
from avzsl.contracts.errors import AvzslError
from avzsl.runtime import checkpoint
from avzsl.runtime.jobs import hold_lock, job

ROWS = 100_000


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", os.urandom(ROWS))


WRITERS: dict[str, Callable[[Path], object]] = {
    "python": lambda path: path.write_bytes(b"1" * ROWS),
    "pyarrow": lambda path: pq.write_table(pa.table({"a": list(range(ROWS))}), path),
    "pandas": lambda path: pd.DataFrame({"a": range(ROWS)}).to_csv(path),
    "numpy": lambda path: np.save(path, np.zeros(ROWS)),
    "zipfile": _zip,
}


@pytest.mark.parametrize("library", WRITERS)
def test_a_full_disk_names_the_file_whoever_writes(tmp_path: Path, library: str) -> None:
    path = tmp_path / ("a.npy" if library == "numpy" else "a")
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="No space left") as found, replacing(path) as temporary:
        temporary.unlink()
        temporary.symlink_to("/dev/full")
        WRITERS[library](temporary)
    assert found.value.errno == errno.ENOSPC and found.value.filename == str(path)
    assert (
        disk.sentence(found.value) == f"{path}: the disk is full; make room and run again, nothing half-written is left"
    )
    assert path.read_bytes() == b"before" and list(tmp_path.iterdir()) == [path]


def _limited(work: Callable[[], object]) -> BaseException | None:
    """Return what `work` raises in a process of its own, whose files may have a kilobyte."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            work()
        except BaseException as error:
            os.write(writer, f"{disk.sentence(error) or repr(error)}".encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        said = stream.read().decode()
    os.waitpid(child, 0)
    return Exception(said) if said else None


def test_libraries_that_write_by_themselves_are_understood(tmp_path: Path) -> None:
    def arrays() -> None:
        with replacing(tmp_path / "a.safetensors") as temporary:
            save_file({"a": np.zeros(ROWS)}, temporary)

    for name, work in {
        "a.safetensors": arrays,
        "c.pt": lambda: checkpoint.save(tmp_path / "c.pt", "x", {"a": torch.zeros(ROWS)}),
    }.items():
        assert str(_limited(work)).startswith(f"{tmp_path / name}: grows larger than its file system"), name
    assert list(tmp_path.iterdir()) == []
    assert (
        disk.code_of(SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")) == 28
    )


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES])
def test_a_job_ends_with_a_sentence(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), job(None):
        raise OSError(code, os.strerror(code), "results/x")
    said = capsys.readouterr().err
    assert said.startswith("results/x: ") and "run again" in said and "Traceback" not in said


def test_what_is_no_trouble_of_the_disk_stays_a_bug() -> None:
    assert disk.sentence(OSError(errno.EIO, "Input/output error", "x")) is None
    assert disk.sentence(ValueError("code: 500")) is None
    assert disk.code_of(FileNotFoundError(2, "No usable temporary directory found in ['/tmp']")) == errno.ENOSPC
    with pytest.raises(ValueError, match="boom"), job(None):
        raise ValueError("boom")


def test_a_results_folder_that_is_read_only_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("no folder", encoding="utf-8")
    with pytest.raises(AvzslError, match=r"results"):
        hold_lock(tmp_path / "results/.lock", "busy")
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    with pytest.raises(AvzslError, match=r"full: cannot be written .*make room and run again"):
        hold_lock(link, "busy")


def test_an_error_about_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="other") as found, replacing(tmp_path / "a"):
        raise OSError(errno.EACCES, "Permission denied", "other")
    assert found.value.filename == "other"
    write_text(tmp_path / "b", "x")
