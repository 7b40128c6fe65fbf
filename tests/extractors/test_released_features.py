"""The released layouts of features, in and out, and what they must not do."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from avzsl.contracts.arrays import read_arrays, write_arrays
from avzsl.contracts.errors import DataError
from avzsl.contracts.schemas import FEATURES
from avzsl.contracts.tables import read_table, write_table
from extractors.released_features import export_features, import_features
from extractors.unpickle import read_feature_pickle

SUBSETS = {
    "a": "train",
    "b": "train",
    "c": "val_seen",
    "d": "val_unseen",
    "e": "test_seen",
    "f": "test_unseen",
    "g": "test_unseen",
}


@pytest.fixture
def packed(tmp_path: Path) -> tuple[Path, Path, pd.DataFrame]:
    """A pack of seven clips, the last without features."""
    rng = np.random.default_rng(0)
    ids = [name for name in SUBSETS if name != "g"]
    arrays, manifest = tmp_path / "p.safetensors", tmp_path / "p.parquet"
    values = {name: rng.standard_normal((len(ids), 512)).astype(np.float32) for name in ("audio", "visual")}
    write_arrays(arrays, values, {"clip_ids": ids, "extractor": {"name": "selavi"}, "sha256": {}})
    rows = [
        {
            "clip_id": c,
            "shard": 0,
            "status": "ok" if c in ids else "corrupt",
            "row": ids.index(c) if c in ids else -1,
            "audio_steps": 1,
            "visual_steps": 1,
        }
        for c in SUBSETS
    ]
    write_table(manifest, pd.DataFrame(rows), FEATURES)
    classes = {"train": "dog, barking", "val_seen": "dog, barking", "val_unseen": "cat"}
    clips = pd.DataFrame(
        [{"clip_id": c, "class_name": classes.get(s, "bell"), "subset": s} for c, s in SUBSETS.items()]
    )
    return arrays, manifest, clips


def test_out_and_in_again(packed: tuple[Path, Path, pd.DataFrame], tmp_path: Path) -> None:
    arrays, manifest, clips = packed
    counts = export_features(arrays, manifest, clips, tmp_path / "out")
    assert counts == {
        "stage_1_train": 2, "stage_1_val_seen": 1, "stage_1_val_unseen": 1, "stage_2_train": 4, "stage_2_test_seen": 1, "stage_2_test_unseen": 1,
    }  # fmt: skip
    # As the released loader reads it: bytes that decode as UTF-8, float32, the same order in both modalities.
    audio_path = tmp_path / "out/features/main_features/audio/stage_2_train/dog, barking.h5"
    with h5py.File(audio_path) as file:
        assert [str(u, "utf-8") for u in file["video_urls"][()]] == ["a", "b", "c"]
        assert file["data"].dtype == np.float32
        given, _ = read_arrays(arrays)
        assert np.array_equal(file["data"][()], given["audio"][:3])
    table = import_features(tmp_path / "out", tmp_path / "i.safetensors", tmp_path / "i.parquet")
    values, header = read_arrays(tmp_path / "i.safetensors")
    assert header["extractor"]["weights"] == "released features"
    import_features(tmp_path / "out", tmp_path / "i.safetensors", tmp_path / "i.parquet", extractor="mine")
    values, header = read_arrays(tmp_path / "i.safetensors")
    assert (header["extractor"]["name"], header["extractor"]["weights"]) == ("mine", "mine features")
    order = [header["clip_ids"].index(name) for name in "abcdef"]
    assert np.array_equal(values["audio"][order], given["audio"])
    assert np.array_equal(values["visual"][order], given["visual"])
    assert set(table[table["clip_id"] == "c"]["split"]) == {"stage_1_val_seen", "stage_2_train"}
    assert set(table[table["clip_id"] == "d"]["class_name"]) == {"cat"}
    assert read_table(tmp_path / "i.parquet", FEATURES)["status"].eq("ok").all()


def edit(root: Path, change: Any, *names: str) -> None:
    for name in names or ("audio", "video"):
        with h5py.File(root / "features/main_features" / name / "stage_1_val_unseen" / "cat.h5", "r+") as file:
            change(file)


def test_wrong_files_are_named(packed: tuple[Path, Path, pd.DataFrame], tmp_path: Path) -> None:
    out = tmp_path / "out"

    def fresh() -> None:
        export_features(*packed, out)

    def expect(message: str) -> None:
        with pytest.raises(DataError, match=message):
            import_features(out, tmp_path / "i.safetensors", tmp_path / "i.parquet")
        fresh()

    expect("does not exist")

    def other(file: h5py.File) -> None:
        file["data"][0, 0] = 5.0

    edit(out, other, "audio")
    expect("another vector for 'd'")

    def nan(file: h5py.File) -> None:
        file["data"][0, 0] = np.nan

    edit(out, nan)
    expect("NaN")

    def renamed(file: h5py.File) -> None:
        file["video_urls"][0] = "z"

    edit(out, renamed, "video")
    expect("lists other clips")

    def linked(file: h5py.File) -> None:
        del file["data"]
        file["data"] = h5py.ExternalLink("/etc/passwd", "x")

    edit(out, linked)
    expect("no data set 'data' of its own")

    def raw(file: h5py.File) -> None:
        del file["data"]
        file.create_dataset("data", (1, 512), "f4", external=[("/etc/passwd", 0, 2048)])

    edit(out, raw)
    expect("points to other files")
    (out / "features/main_features/audio/stage_1_val_unseen/cat.h5").write_bytes(b"no")
    expect("not a readable HDF5 file")
    (out / "features/main_features/audio/stage_1_val_unseen/cat.h5").unlink()
    expect("one modality only")


def test_a_class_that_cannot_be_a_file(packed: tuple[Path, Path, pd.DataFrame], tmp_path: Path) -> None:
    arrays, manifest, clips = packed
    clips["class_name"] = clips["class_name"].replace("cat", "../cat")
    with pytest.raises(DataError, match="cannot be the name of a file"):
        export_features(arrays, manifest, clips, tmp_path / "out")


@pytest.mark.parametrize("layout", ["list", "dict"])
def test_published_pickles(tmp_path: Path, layout: str) -> None:
    video, audio = torch.rand(3, 512), torch.rand(3, 512)
    labels, names = torch.tensor([0, 1, 1]), list(np.array(["a", "b", "ü"]))
    content: Any = [video, labels, audio, names]
    if layout == "dict":
        content = {"video": video, "labels": labels, "audio": audio, "filenames": names}
    path = tmp_path / "f.pkl"
    path.write_bytes(pickle.dumps(content, pickle.HIGHEST_PROTOCOL))
    read = read_feature_pickle(path)
    assert np.array_equal(read["video"], video.numpy())
    assert np.array_equal(read["audio"], audio.numpy())
    assert read["labels"].tolist() == [0, 1, 1]
    assert read["filenames"] == ["a", "b", "ü"]


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("import pathlib; pathlib.Path('executed').touch()",))


class EvilInside:
    """A storage whose own bytes are a pickle that calls a function."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (torch.storage._load_from_bytes, (pickle.dumps(Evil(), protocol=2),))


@pytest.mark.parametrize("content", [Evil(), [Evil()], {"video": EvilInside()}])
def test_pickles_never_execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError):
        read_feature_pickle(tmp_path / "f.pkl")
    assert not (tmp_path / "executed").exists()


def test_pickles_of_other_things(tmp_path: Path) -> None:
    for content in ([1, 2], {"video": 1}, "text", [np.zeros((2, 4)), np.zeros(2), np.zeros((2, 4)), ["a"]]):
        (tmp_path / "f.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(DataError):
            read_feature_pickle(tmp_path / "f.pkl")
    (tmp_path / "f.pkl").write_bytes(b"\x80\x04")
    with pytest.raises(DataError):
        read_feature_pickle(tmp_path / "f.pkl")
