"""Archives, honest and hostile."""

from __future__ import annotations

import io
import random
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from avzsl.acquisition import AcquisitionError
from avzsl.acquisition.unpack import unpack


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tape:
        for name, body in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(body), 0o6777
            tape.addfile(info, io.BytesIO(body))
    return path


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as box:
        for name, body in files.items():
            box.writestr(name, body)
    return path


def make_rar(path: Path, files: dict[str, bytes]) -> Path:
    """Write a rar 2.9 archive of stored (not compressed) files: headers with a CRC-16 of their own, then the bytes."""

    def block(kind: int, flags: int, fields: bytes, body: bytes = b"") -> bytes:
        rest = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
        return struct.pack("<H", zlib.crc32(rest) & 0xFFFF) + rest + body

    out = b"Rar!\x1a\x07\x00" + block(0x73, 0, b"\0" * 6)
    for name, body in files.items():
        raw = name.encode()
        fields = struct.pack("<IIBIIBBHI", len(body), len(body), 3, zlib.crc32(body), 0, 20, 0x30, len(raw), 0o100644)
        out += block(0x74, 0x8000, fields + raw, body)
    path.write_bytes(out + block(0x7B, 0x4000, b""))
    return path


MAKERS = {
    "a.tar": lambda path, files: make_tar(path, files, "w"),
    "a.tar.gz": make_tar,
    "a.tar.xz": lambda path, files: make_tar(path, files, "w:xz"),
    "a.zip": make_zip,
    "a.rar": make_rar,
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_data_set_from_archives(tmp_path, fetch, good_clip, make_clips, make_dataset, name):
    body = good_clip.read_bytes()
    archive = MAKERS[name](
        tmp_path / name, {"UCF/Archery/v_Archery_g01_c01.mp4": body, "UCF/Archery/v_broken.mp4": b"x" * 50}
    )
    clips = make_clips(["Archery/v_Archery_g01_c01.mp4", "v_broken.mp4", "v_none.mp4"])
    dataset = make_dataset({"kind": "archive", "archives": [str(archive)]})
    table = fetch(clips, dataset)
    assert list(table["status"]) == ["ok", "corrupt", "missing"]
    assert Path(table.iloc[0]["path"]).is_file()
    archive.unlink()  # unpacked once; but a list that names nothing is a mistake
    with pytest.raises(AcquisitionError, match="there is no such archive"):
        fetch(clips, dataset)


def test_an_archive_is_fetched_from_a_server(tmp_path, server, fetch, good_clip, make_clips, make_dataset):
    server.bodies["all.zip"] = make_zip(tmp_path / "all.zip", {"x/good.mp4": good_clip.read_bytes()}).read_bytes()
    server.faults["all.zip"] = ["truncate"]  # goes on where it broke
    source = {"kind": "archive", "archives": [f"{server.url}/all.zip"]}
    assert list(fetch(make_clips(["good.mp4"]), make_dataset(source))["status"]) == ["ok"]
    assert list(fetch(make_clips(["good.mp4"]), make_dataset(source))["status"]) == ["ok"]
    assert server.seen[0][2] == "bytes=0-" and len(server.seen) == 2


@pytest.mark.skipif(shutil.which("bsdtar") is None, reason="bsdtar is not installed")
def test_a_rar_is_streamed_where_only_bsdtar_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr("avzsl.acquisition.unpack._RAR_PROGRAMS", ())
    archive = make_rar(tmp_path / "a.rar", {"x/one.bin": b"1" * 5000, "../two.bin": b"2", "three.bin": b"3"})
    monkeypatch.setattr("avzsl.acquisition.unpack.rarfile.RarFile.open", None)  # not used
    unpack(archive, tmp_path / "out", 10_000)
    files = {p.relative_to(tmp_path / "out").as_posix(): p.stat().st_size for p in (tmp_path / "out").rglob("*.bin")}
    assert files == {"x/one.bin": 5000, "three.bin": 1}
    archive.write_bytes(archive.read_bytes()[:3000])
    with pytest.raises(AcquisitionError, match="is not a whole archive"):
        unpack(archive, tmp_path / "out", 10_000)


HOSTILE = {
    "../up.txt": b"1", "/abs.txt": b"2", "a/../../up2.txt": b"3", "ok/./fine.txt": b"4", "..\\win.txt": b"5",
    "C:\\drive.txt": b"6", ".unpacked-0000": b"7", "ok/deep/fine.txt": b"8",
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_leaves_the_folder(tmp_path, name):
    archive = MAKERS[name](tmp_path / name, HOSTILE)
    folder = tmp_path / "inside" / "out"
    unpack(archive, folder, 1000)
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == {"ok/fine.txt", "ok/deep/fine.txt"}
    assert {p.name for p in tmp_path.iterdir()} == {name, "inside"}
    assert not any(p.stat().st_mode & 0o6000 for p in folder.rglob("*"))


def test_links_and_devices_are_left_out(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tape:
        for kind, name in (
            (tarfile.SYMTYPE, "link"),
            (tarfile.LNKTYPE, "hard"),
            (tarfile.CHRTYPE, "dev"),
            (tarfile.FIFOTYPE, "pipe"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tape.addfile(info)
        info = tarfile.TarInfo("link/passwd")
        info.size = 3
        tape.addfile(info, io.BytesIO(b"abc"))
    unpack(path, tmp_path / "out", 1000)
    assert [p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*")] == [
        "link",
        "link/passwd",
    ]
    assert not (tmp_path / "out/link").is_symlink()
    zipped = tmp_path / "a.zip"
    with zipfile.ZipFile(zipped, "w") as box:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        box.writestr(info, "/etc/passwd")
    unpack(zipped, tmp_path / "out2", 1000)
    assert list((tmp_path / "out2").iterdir()) == []


@pytest.mark.parametrize("name", MAKERS)
def test_a_bomb_is_refused_by_what_comes_out(tmp_path, name):
    archive = MAKERS[name](tmp_path / name, {"a.bin": b"\0" * 600_000, "b.bin": b"\0" * 600_000})
    with pytest.raises(AcquisitionError, match="unpacks to more than"):
        unpack(archive, tmp_path / "out", 1_000_000)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".part*"))


def test_a_damaged_archive_is_an_error_unless_it_is_allowed(tmp_path, fetch, good_clip, make_clips, make_dataset):
    body = good_clip.read_bytes()
    archive = make_tar(tmp_path / "a.tar.gz", {"a.mp4": body, "b.mp4": random.Random(0).randbytes(300_000)})
    archive.write_bytes(archive.read_bytes()[:-100_000])
    source = {"kind": "archive", "archives": [str(archive)]}
    clips = make_clips(["a.mp4", "b.mp4"])
    with pytest.raises(AcquisitionError, match=r"a\.tar\.gz: is not a whole archive"):
        fetch(clips, make_dataset(source))
    text = tmp_path / "t.zip"
    text.write_text("no archive")
    with pytest.raises(AcquisitionError, match="is not a whole archive"):
        unpack(text, tmp_path / "out", 1000)
    table = fetch(clips, make_dataset({**source, "allow_damaged": True}))
    assert list(table["status"]) == ["ok", "missing"]


@pytest.mark.parametrize("name", MAKERS)
def test_a_cut_archive_is_never_whole(tmp_path: Path, name: str) -> None:
    """Wherever it is cut, also between two members, where no byte of a file is missing."""
    rng = random.Random(0)
    whole = MAKERS[name](tmp_path / name, {f"{n}.bin": rng.randbytes(600) for n in range(4)}).read_bytes()
    end = len(whole)
    if name == "a.tar":
        end = 4 * (512 + 1024) + 1  # what follows the end mark is padding
    cut = tmp_path / f"cut-{name}"
    for length in sorted({0, 1, 600, *range(end - 1, 0, -97)}):
        cut.write_bytes(whole[:length])
        with pytest.raises(AcquisitionError, match="is not a whole archive"):
            unpack(cut, tmp_path / "out", 10_000)
        assert not (tmp_path / "out").exists()


def test_a_changed_byte_of_a_compressed_tar_is_found(tmp_path: Path) -> None:
    archive = make_tar(tmp_path / "a.tar.gz", {"a.bin": b"1" * 600})
    data = bytearray(archive.read_bytes())
    data[-6] ^= 1  # the checksum that gzip keeps
    archive.write_bytes(data)
    with pytest.raises(AcquisitionError, match="is not a whole archive"):
        unpack(archive, tmp_path / "out", 10_000)


@pytest.mark.parametrize("name", MAKERS)
def test_a_name_that_is_too_long_costs_its_member(tmp_path: Path, name: str, caplog) -> None:
    files = {
        "good.bin": b"1",
        "x" * 300 + ".bin": b"2",
        "y" * 300 + "/a.bin": b"3",
        "z/" * 2500 + "a": b"4",
        "also.bin": b"5",
    }
    unpack(MAKERS[name](tmp_path / name, files), tmp_path / "out", 100)
    assert {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()} == {"good.bin", "also.bin"}
    assert caplog.text.count("its name cannot be used here") == 3


def test_a_replaced_archive_is_unpacked_again_and_a_moved_one_is_not(
    tmp_path: Path, fetch, good_clip, make_clips, make_dataset, monkeypatch
) -> None:
    unpacked: list[Path] = []

    def counted(archive: Path, *arguments: object) -> str:
        unpacked.append(archive)
        return unpack(archive, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("avzsl.acquisition.sources.archive.unpack", counted)
    clips = make_clips(["a.mp4", "b.mp4"])

    def status(archive: Path) -> list[str]:
        return list(
            fetch(clips, make_dataset({"kind": "archive", "name": "box", "archives": [str(archive)]}))["status"]
        )

    archive = make_zip(tmp_path / "a.zip", {"a.mp4": good_clip.read_bytes()})
    assert status(archive) == ["ok", "missing"]
    (tmp_path / "elsewhere").mkdir()
    moved = archive.rename(tmp_path / "elsewhere" / "a.zip")
    assert status(moved) == ["ok", "missing"]
    assert len(unpacked) == 1, "the same content in another place"
    make_zip(moved, {"b.mp4": good_clip.read_bytes()})
    assert status(moved)[1] == "ok"
    assert len(unpacked) == 2, "other content in the same place"
    assert status(moved)[1] == "ok" and len(unpacked) == 2


BOMBS = r"""
import gzip, re, sys, tarfile
from pathlib import Path
from avzsl.acquisition.unpack import unpack
kind, folder = sys.argv[1], Path(sys.argv[2])
archive = folder / "bomb.tar.gz"
with gzip.open(archive, "wb", compresslevel=1) as out:
    if kind == "members":
        folder_ = tarfile.TarInfo("a" * 90)
        folder_.type = tarfile.DIRTYPE
        for _ in range(100):
            out.write(folder_.tobuf() * 2000)
        out.write(bytes(1024))
    else:
        header = tarfile.TarInfo("x")
        header.type = {"pax": tarfile.XHDTYPE, "global": tarfile.XGLTYPE, "name": tarfile.GNUTYPE_LONGNAME}[kind]
        header.size = 4 << 30
        out.write(header.tobuf())
        for _ in range(300):
            out.write(bytes(1 << 20))
def memory(field):
    return int(re.search(field + r":\s+(\d+)", Path("/proc/self/status").read_text())[1])
Path("/proc/self/clear_refs").write_text("5")
before = memory("VmRSS")
try:
    unpack(archive, folder / "out", 10**12)
except Exception as error:
    print(error)
print((memory("VmHWM") - before) >> 10)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("kind", ["pax", "global", "name", "members"])
def test_headers_of_gigabytes_are_refused_before_they_are_read(tmp_path: Path, kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BOMBS, kind, str(tmp_path)], capture_output=True, text=True, check=True, timeout=300
    )
    *said, grown = done.stdout.splitlines()
    assert int(grown) < 60, "MB"
    if kind != "members":
        assert "is not a whole archive" in said[0]
