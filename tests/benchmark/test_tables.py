"""What a benchmark's tables and record say, number by number, and which one thing wrong with its input is found."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from avzsl.benchmark import data as reading
from avzsl.benchmark import load
from avzsl.benchmark.synthetic import SyntheticFiles, small, write
from avzsl.benchmark.synthetic_steps import write_steps
from avzsl.contracts.arrays import read_arrays, write_arrays
from avzsl.contracts.errors import DataError
from avzsl.contracts.schemas import BENCHMARK_CLASSES, BENCHMARK_CLIPS, FEATURES, SPLIT, SPLIT_CLASSES
from avzsl.contracts.tables import read_table, write_table
from avzsl.pretrained.label_sets import LABEL_SETS

# The package's own name for it is the function.
assembling = sys.modules["avzsl.benchmark.assemble"]


@pytest.fixture
def files(tmp_path: Path) -> SyntheticFiles:
    counts, vectors = small((4, 2, 2), clips=4, dim=5)
    return write(tmp_path / "in", counts, vectors, dims=(3, 6))


def put(files: SyntheticFiles, tmp_path: Path, **more: Any) -> dict[str, Any]:
    assembling.assemble(files.split, files.pack, [], files.embeddings, tmp_path / "out", "toy", **more)
    return json.loads((tmp_path / "out" / "benchmark.json").read_text())


def edit(path: Path, schema: Any, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    write_table(path, change(read_table(path, schema)), schema)


def rows(files: SyntheticFiles, **changes: Any) -> None:
    """Change columns of the first clip of the manifest."""

    def first(frame: pd.DataFrame) -> pd.DataFrame:
        for name, value in changes.items():
            frame.loc[frame.index[0], name] = value
        return frame

    edit(files.pack[1], FEATURES, first)


def test_the_record_of_a_benchmark(files, tmp_path):
    edit(files.split / "split.parquet", SPLIT, lambda f: f.assign(subset=f["subset"].mask(f.index == 0, "excluded")))
    edit(
        files.split / "classes.parquet",
        SPLIT_CLASSES,
        lambda f: pd.concat(
            [f, pd.DataFrame([("ghost", "train", None), ("left", "excluded", "taken out")], columns=["class_name", "role", "reason"])]
        ),
    )  # fmt: skip
    record = put(files, tmp_path, interim=(3, 7))
    assert record["interim"] == [3, 7]
    assert record["dims"] == {"audio": 3, "visual": 6, "text": 5}
    assert record["clips"] == {
        "train": {"listed": 15, "usable": 15}, "val_seen": {"listed": 4, "usable": 4}, "val_unseen": {"listed": 8, "usable": 8},
        "test_seen": {"listed": 6, "usable": 6}, "test_unseen": {"listed": 8, "usable": 8}, "excluded": {"listed": 1, "usable": 0},
    }  # fmt: skip
    reasons = record["classes"].pop("excluded_reasons")
    assert record["classes"] == {"train": 4, "val_unseen": 2, "test_unseen": 2, "excluded": 2}
    assert reasons["left"] == "taken out" and "no class embedding" in reasons["ghost"]
    assert record["chance"] == {"seen": 12.5, "unseen": 12.5, "hm": 12.5, "zsl": 50.0}
    assert record["named"] is None
    classes = read_table(tmp_path / "out" / "classes.parquet", BENCHMARK_CLASSES).set_index("class_name")
    assert classes.loc["ghost", ["listed", "usable"]].tolist() == [0, 0]
    assert classes.loc["class 000", ["listed", "usable"]].tolist() == [5, 5]
    assert classes.loc["class 001", ["listed", "usable"]].tolist() == [6, 6]
    assert put(files, tmp_path / "again")["interim"] is None


def test_a_class_with_an_embedding_and_no_clip_is_excluded(files, tmp_path):
    name = "class 007"
    edit(files.split / "split.parquet", SPLIT, lambda f: f[f["class_name"] != name])
    put(files, tmp_path)
    classes = read_table(tmp_path / "out" / "classes.parquet", BENCHMARK_CLASSES).set_index("class_name")
    assert classes.loc[name, ["role", "reason", "listed", "usable"]].tolist() == ["excluded", "no usable clip", 0, 0]


def test_clips_of_shards_that_are_to_come_have_no_row(files, tmp_path):
    edit(files.pack[1], FEATURES, lambda f: f.iloc[:-1])
    with pytest.raises(DataError, match="1 of 42 clips"):
        put(files, tmp_path)
    put(files, tmp_path, interim=(1, 2))
    last = read_table(tmp_path / "out" / "clips.parquet", BENCHMARK_CLIPS).iloc[-1]
    assert last[["row", "usable", "stage", "status"]].tolist() == [-1, False, "media", "not_asked"]


@pytest.mark.parametrize("classes,enough", [(2, True), (1, False)])
def test_two_training_classes_are_enough(tmp_path, classes, enough):
    counts, vectors = small((classes, 1, 1), clips=2)
    files = write(tmp_path / "in", counts, vectors)
    if enough:
        assert put(files, tmp_path)["classes"]["train"] == classes
    else:
        with pytest.raises(DataError, match="fewer than two training classes"):
            put(files, tmp_path)


def arrays(change: Callable[[dict[str, np.ndarray], dict[str, Any]], None]) -> Callable[[SyntheticFiles], None]:
    def damage(files: SyntheticFiles) -> None:
        held, header = read_arrays(files.pack[0])
        change(held, header)
        write_arrays(files.pack[0], held, header)

    return damage


def spoil(held: dict[str, np.ndarray], *places: tuple[int, int]) -> None:
    for place in places:
        held["audio"][place] = np.nan


def exchange(ids: list[str]) -> None:
    ids[0] = "other"


def strangers(files: SyntheticFiles) -> None:
    names = [f"class {i:03d}" for i in range(1, 8)]
    edit(files.split / "classes.parquet", SPLIT_CLASSES, lambda f: f[~f["class_name"].isin(names)])


@pytest.mark.parametrize(
    "damage,message",
    [
        (arrays(lambda held, _: held.pop("audio") is None), "holds no array 'audio'"),
        (arrays(lambda held, _: held.update(visual=held["visual"][:, :1].ravel())), "holds no array 'visual'"),
        (arrays(lambda held, _: held.update(visual=held["visual"][..., None])), "holds no array 'visual'"),
        (arrays(lambda _, header: exchange(header["clip_ids"])), "clip ids do not match"),
        (arrays(lambda held, _: spoil(held, (5, 2), (8, 0))), "the audio features of clip 'train/class 001/1' hold NaN"),
        (lambda files: rows(files, row=42), "clip ids do not match"),
        (lambda files: rows(files, row=-1), "clip 'train/class 000/0' is marked ok but has no row"),
        (strangers, "class 'class 001' of split.parquet has no role"),
    ],
)  # fmt: skip
def test_one_thing_wrong_is_found_and_named(files, tmp_path, monkeypatch, damage, message):
    damage(files)
    blocks = assembling.rows_in_blocks

    def in_threes(array: np.ndarray, rows: np.ndarray) -> Any:
        for start in range(0, len(rows), 3):
            for _, part in blocks(array, rows[start : start + 3]):
                yield slice(start, start + 3), part

    monkeypatch.setattr(assembling, "rows_in_blocks", in_threes)
    with pytest.raises(DataError, match=message):
        put(files, tmp_path)


def test_labels_that_name_a_class_come_from_the_splits_audit(tmp_path):
    known = sorted(LABEL_SETS)
    tagged = [
        {"label_set": known[0], "class_name": "dog", "label": "Dog"},
        {"label_set": known[0], "class_name": "dog", "label": "Puppy"},
        {"label_set": known[0], "class_name": "gone", "label": "Gone"},
        {"label_set": "another", "class_name": "dog", "label": "Hound"},
    ]
    audit = tmp_path / "audit.json"

    def named(extractor: dict[str, Any] | None) -> Any:
        return assembling._named(tmp_path, extractor, {"dog", "cat"})

    assert named({"label_sets": known[:1]}) is None, "no audit"
    audit.write_text(json.dumps({"tagged": tagged}))
    assert named({"label_sets": known[:1]}) == {known[0]: {"dog": ["Dog", "Puppy"]}}
    assert named({"label_sets": known}) == {known[0]: {"dog": ["Dog", "Puppy"]}, **{name: {} for name in known[1:]}}
    for extractor in (None, {}, {"label_sets": []}, {"label_sets": [*known, "another"]}, {"label_sets": ["another"]}):
        assert named(extractor) is None
    audit.write_text(json.dumps({"checks": []}))
    assert named({"label_sets": known[:1]}) is None, "an audit that did not look"


def test_which_packs_stay_on_the_disk(files, tmp_path, monkeypatch):
    put(files, tmp_path)
    steps = write_steps(files, {"audio": (1, 2), "visual": (1, 2)})
    size = files.pack[0].stat().st_size
    for held, path, there in (
        (size, None, False),
        (size - 1, None, True),
        (size, steps, True),
        (size - 1, steps, True),
    ):
        monkeypatch.setattr(reading, "HELD", held)
        data = load(tmp_path / "out", files.pack[0], files.embeddings, steps=path)
        assert isinstance(data.audio, np.memmap) is there
        assert (data.steps is not None) is (path is not None)


@pytest.mark.parametrize("other", ["clip_ids", "sha256"])
def test_steps_of_other_shards_are_refused(monkeypatch, tmp_path, other):
    header = {"clip_ids": ["a"], "sha256": ["0"]}
    monkeypatch.setattr(reading, "map_streams", lambda path: ({}, {**header, other: ["b"]}))
    with pytest.raises(DataError, match="not made of the same shards"):
        reading._steps(tmp_path / "steps", tmp_path / "pack", header)
    monkeypatch.setattr(reading, "map_streams", lambda path: ({}, header))
    assert reading._steps(tmp_path / "steps", tmp_path / "pack", header) == {}
