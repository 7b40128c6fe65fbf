"""Files of a folder or an archive, and the lists that are read from them."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from avzsl.config.splits import ListsConfig
from avzsl.contracts.errors import DataError
from splits import files as files_module
from splits.files import Files, RemoteFile, lines, malformed
from splits.lists import has_subsets, read_ids, read_lists


def archive(path: Path, members: dict[str, bytes]) -> Files:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as out:
            for name, data in members.items():
                out.writestr(name, data)
    elif path.suffix == ".tar":
        with tarfile.open(path, "w") as out:
            for name, data in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                out.addfile(entry, io.BytesIO(data))
    else:
        for name, data in members.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    return Files(path)


@pytest.mark.parametrize("name", ["f.zip", "f.tar", "folder"])
def test_files_of_a_folder_or_an_archive(tmp_path, monkeypatch, name) -> None:
    members = {"b/x.txt": b"\xef\xbb\xbfone", "a/x.txt": b"two", "long/a/x.txt": b"", "bax.txt": b"\xff"}
    held = archive(tmp_path / name, members)
    assert held.names == (sorted(members) if name == "folder" else list(members))
    assert [held.find(e) for e in ("x.txt", "b/x.txt", "ax.txt", "bax.txt")] == ["a/x.txt", "b/x.txt", None, "bax.txt"]
    assert [held.text(n) for n in ("b/x.txt", "a/x.txt", "long/a/x.txt")] == ["one", "two", ""]
    with pytest.raises(DataError, match=rf"^{tmp_path / name}/bax\.txt: cannot be read as text"):
        held.text("bax.txt")
    if name == "f.tar":
        monkeypatch.setattr(files_module, "MAX_MEMBERS", 4)
        assert len(Files(tmp_path / name).names) == 4
        monkeypatch.setattr(files_module, "MAX_MEMBERS", 3)
        with pytest.raises(DataError, match="more than 3 members"):
            Files(tmp_path / name)
    alone = tmp_path / "alone.csv"
    alone.write_text("x")
    assert Files(alone).names == ["alone.csv"] and Files(alone).text("alone.csv") == "x"


def test_bounds_of_metadata_files(tmp_path, monkeypatch) -> None:
    large = tmp_path / "large.csv"
    with large.open("wb") as out:
        out.truncate((1 << 28) + 1)  # a hole
    with pytest.raises(DataError, match=r"has 268435457 bytes; metadata files are never that large"):
        Files(large).text("large.csv")
    monkeypatch.setattr("avzsl.contracts.sizes.SMALL", 1000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("x", bytes(1 << 20))
    with pytest.raises(DataError, match="has 1048576 bytes"):
        Files(tmp_path / "bomb.zip").text("x")
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        files_module, "download", lambda urls, path, **keys: asked.update(keys, urls=urls, path=path) or path
    )
    config = ListsConfig(url="https://host/some/lists.zip/", sha256="ab")
    with pytest.raises(DataError):
        read_lists(config, "main", tmp_path)
    assert (asked["path"], asked["max_bytes"], asked["urls"]) == (
        tmp_path / "lists-lists.zip",
        1 << 30,
        ("https://host/some/lists.zip/",),
    )
    assert RemoteFile(urls=("u",)).locate("n", tmp_path, "k", ("v",)) == tmp_path / "n" and asked["urls"] == ("u",)
    assert list(lines("a\n \nb\n")) == [(1, "a"), (3, "b")]
    for size, shown in ((80, "x" * 80), (81, "x" * 77 + "...")):
        assert str(malformed("f", 3, "x" * size, "y")) == f"f, line 3: expected y, got {shown!r}"


def test_which_lists_have_subsets(tmp_path) -> None:
    found = [
        has_subsets(c)
        for c in (
            None,
            ListsConfig(url="https://h/l.zip"),
            ListsConfig(path="a/ids.txt"),
            ListsConfig(path="a/lists"),
            ListsConfig(path="l.zip"),
        )
    ]
    assert found == [False, True, False, True, True]


def stages(folder: Path, clips: dict[str, str], **names: str) -> None:
    folder.mkdir(parents=True)
    for stage in (
        "stage_1_train",
        "stage_1_val_seen",
        "stage_1_val_unseen",
        "stage_2_test_seen",
        "stage_2_test_unseen",
    ):
        if clips:
            (folder / f"{stage}.csv").write_text(
                "filename,label\n" + "".join(f"{c},{stage[-3:]}\n" for c in clips[stage])
            )
        (folder / f"{stage}.txt").write_text(names.get(stage, stage) + "\n")


def test_a_variant_has_class_lists_of_its_own_and_may_have_clip_lists(tmp_path) -> None:
    parts = dict(
        zip(
            ("stage_1_train", "stage_1_val_seen", "stage_1_val_unseen", "stage_2_test_seen", "stage_2_test_unseen"),
            "abcde",
            strict=True,
        )
    )
    stages(tmp_path / "main_split", parts)
    stages(tmp_path / "cls_split", {}, stage_1_train="other")
    stages(tmp_path / "own_split", {stage: clip.upper() for stage, clip in parts.items()})
    read = {variant: read_lists(ListsConfig(path=str(tmp_path)), variant, None) for variant in ("main", "cls", "own")}
    ids = {variant: [next(iter(clips)) for clips in found.clips.values()] for variant, found in read.items()}
    assert ids == {"main": [*"abcde"], "cls": [*"abcde"], "own": [*"ABCDE"]}
    assert read["cls"].classes["train"] == ["other"] and read["main"].classes["train"] == ["stage_1_train"]
    assert read["main"].problems == []
    whole, train = [f"z{k}" for k in range(6)], [f"a{k}" for k in range(6)]
    for stage, ids in (("stage_2_train", whole), ("stage_1_train", train)):
        (tmp_path / "main_split" / f"{stage}.csv").write_text("filename,label\n" + "".join(f"{c},x\n" for c in ids))
    assert read_lists(ListsConfig(path=str(tmp_path)), "main", None).problems == [
        *(f"{c}: in stage_2_train.csv but in none of its three parts" for c in whole),
        *(f"{c}: in a part of stage_2_train.csv but not in it" for c in [*train, "b", "c"]),
    ]


def test_lists_by_class_in_an_archive(tmp_path) -> None:
    line = b"1, %s, 1.5000, 11.5, /m/0a, /t/b\n"
    members = {
        "lists/val/dog.txt": line % (b"v" * 11), "lists/trn/dog.txt": line % (b"t" * 11), "lists/tst/owl.txt": line % (b"o" * 11),
        "lists/trn/owl.txt": line % (b"x" * 11), "lists/val/.dog.txt": b"junk", "others/tst/dog.txt": b"junk", "lists/notes.txt": b"junk",
        "classes/seen_class.txt": b"['dog', 'cat']", "classes/unseen_class.txt": b"['owl']",
    }  # fmt: skip
    archive(tmp_path / "l.zip", members)
    found = read_lists(ListsConfig(path=str(tmp_path / "l.zip"), layout="cjme", within="lists"), "main", None)
    # In the order of the names, whatever that of the archive: of a clip in two lists the first counts.
    assert list(found.clips) == ["train", "excluded", "test_unseen", "val_seen"]
    assert [next(iter(clips.items())) for clips in found.clips.values()] == [
        ("t" * 11 + "_1500", "dog"), ("x" * 11 + "_1500", "owl"), ("o" * 11 + "_1500", "owl"), ("v" * 11 + "_1500", "dog"),
    ]  # fmt: skip
    assert found.classes == {"train": ["cat", "dog"], "test_unseen": ["owl"]}
    config = ListsConfig(path=str(tmp_path / "l.zip"), layout="cjme", within="lists")
    assert read_ids(config, None) == {letter * 11 + "_1500" for letter in "txov"}
