"""A full disk is nobody's fault but the run's: it ends in a sentence and loses nothing."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from avzsl.acquisition import AcquisitionError
from avzsl.acquisition.sandbox import Sandbox


def test_a_full_disk_ends_the_run_and_the_next_goes_on(
    tmp_path, fetch, manifest, good_clip, make_clips, make_dataset, monkeypatch
):
    root = tmp_path / "root"
    root.mkdir()
    for name in "abc":
        shutil.copy(good_clip, root / f"{name}.mp4")
    copied = []

    def full(source, target):
        if len(copied) == 1:
            Path(target).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        copied.append(source)
        Path(target).write_bytes(Path(source).read_bytes())

    dataset = make_dataset({"kind": "folder", "root": str(root), "in_place": False})
    with monkeypatch.context() as patch:
        patch.setattr(
            "avzsl.acquisition.place.os.link", lambda *a: (_ for _ in ()).throw(OSError(errno.EXDEV, "other disk"))
        )
        patch.setattr("avzsl.acquisition.place.shutil.copyfile", full)
        with pytest.raises(AcquisitionError, match="no space left on device; make room and run again"):
            fetch(make_clips(["a.mp4", "b.mp4", "c.mp4"]), dataset)
    assert not manifest.exists()
    folder = tmp_path / "data/mine/media/0000"
    assert len(list(folder.iterdir())) == 1  # a.mp4; nothing half-written
    table = fetch(make_clips(["a.mp4", "b.mp4", "c.mp4"]), dataset)
    assert list(table["status"]) == ["ok"] * 3 and list(table["attempts"]) == [1, 1, 1]


def test_a_full_disk_under_the_cutter_is_not_the_clips_fault(tmp_path, make_clip):
    video = make_clip(tmp_path / "v.mp4", seconds=3)
    with Sandbox(60) as sandbox, pytest.raises(OSError, match="No space left"):
        sandbox.cut([video], Path("/dev/full"), 0.5, 2.5, crf=18, tolerance_s=0.5)


def test_a_full_disk_under_a_download(tmp_path, server, fetch, http, good_clip, make_clips, make_dataset, monkeypatch):
    server.bodies["a.mp4"] = good_clip.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("avzsl.acquisition.one.settle", full)
    with pytest.raises(AcquisitionError, match="no space left"):
        fetch(make_clips(["a.mp4"]), make_dataset(http()))
    assert not list((tmp_path / "data/mine/media/0000").iterdir())
