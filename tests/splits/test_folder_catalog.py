import os
from pathlib import Path

import pytest

from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.errors import AvzslError, ConfigError
from avzsl.contracts.schemas import CLASSES, CLIPS
from avzsl.contracts.tables import read_table, write_table
from splits.catalogs import Catalog, build_catalog


def catalogue(root: Path, **options: object) -> Catalog:
    dataset = DatasetConfig.model_validate(
        {"catalog": {"module": "folder", "root": str(root), **options}, "embeddings": {"table": "demo"}, "shards": 3}
    )
    return build_catalog("mine", dataset, root / "cache")


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


NAMES = [
    "a/1.mp4",
    "a/deep/er/1.mp4",
    "b/1.mp4",
    "-b/--help",
    'b/it\'s "q" $HOME `id`.avi',
    "b/狗 吠\n.mkv",
    "b/no extension",
    "b/notes.txt",
]


def test_every_file_is_a_clip_whatever_its_name(tmp_path: Path) -> None:
    put(tmp_path, *NAMES)
    (tmp_path / "empty class").mkdir()
    found = catalogue(tmp_path)
    assert (
        sorted(found.clips["clip_id"])
        == sorted(NAMES)
        == sorted(found.clips["path"])
        == sorted(found.clips["source_id"])
    )
    assert all(c.class_name == c.path.split("/")[0] for c in found.clips.itertuples())
    assert dict(zip(found.classes["class_name"], found.classes["clips"], strict=True)) == {
        "-b": 1,
        "a": 2,
        "b": 5,
        "empty class": 0,
    }
    write_table(tmp_path / "clips.parquet", found.clips, CLIPS)
    write_table(tmp_path / "classes.parquet", found.classes, CLASSES)
    assert sorted(read_table(tmp_path / "clips.parquet", CLIPS)["clip_id"]) == sorted(NAMES)


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    put(tmp_path / "root", "a/1.mp4", "a/.hidden.mp4", ".git/x", "stray.mp4", "a/1.json")
    put(tmp_path, "outside/secret.mp4")
    (tmp_path / "root/a/link.mp4").symlink_to(tmp_path / "outside/secret.mp4")
    (tmp_path / "root/linked").symlink_to(tmp_path / "outside")
    (tmp_path / "root/a/loop").symlink_to(tmp_path / "root")
    os.mkfifo(tmp_path / "root/a/pipe.mp4")
    (tmp_path / "root/a" / os.fsdecode(b"bad\xff.mp4")).write_bytes(b"x")
    found = catalogue(tmp_path / "root", ignore=["*.json"])
    assert list(found.clips["clip_id"]) == ["a/1.mp4"]
    assert list(found.classes["class_name"]) == ["a"]
    notes = "\n".join(found.notes)
    for words in (
        "hidden: 2",
        "a symbolic link: 3",
        "not a regular file: 1",
        "outside every class folder: 1",
        "not UTF-8: 1",
        "catalog.ignore: 1",
    ):
        assert words in notes
    notes.encode("utf-8")


def test_clips_of_one_recording_share_a_source(tmp_path: Path) -> None:
    put(tmp_path, "a/rec1_c1.mp4", "a/rec1_c2.mp4", "b/rec1_c3.mp4", "b/other.mp4")
    found = catalogue(tmp_path, source=r"(rec\d+)_")
    assert dict(zip(found.clips["clip_id"], found.clips["source_id"], strict=True)) == {
        "a/rec1_c1.mp4": "rec1", "a/rec1_c2.mp4": "rec1", "b/rec1_c3.mp4": "rec1", "b/other.mp4": "b/other.mp4",
    }  # fmt: skip
    assert len(set(found.clips.loc[found.clips["source_id"] == "rec1", "shard"])) == 1
    assert any("does not match 1 files" in note for note in found.notes)


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"datasets/mine.yaml: catalog.root: there is no folder .*nowhere"):
        catalogue(tmp_path / "nowhere")
    (tmp_path / "a").mkdir()
    with pytest.raises(AvzslError, match=r"holds no clips: expected .*CLASS NAME"):
        catalogue(tmp_path)
    with pytest.raises(ConfigError, match=r"catalog.source: .*not a regular expression"):
        catalogue(tmp_path, source="(")
    with pytest.raises(ConfigError, match=r"catalog.roots: unknown key"):
        catalogue(tmp_path, roots="x")
