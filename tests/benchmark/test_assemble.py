from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avzsl.benchmark import assemble, load
from avzsl.benchmark.released_rows import catalogue_rows, class_lists, class_vectors, released_rows
from avzsl.benchmark.synthetic import SyntheticFiles, small, write
from avzsl.contracts.arrays import read_arrays, write_arrays
from avzsl.contracts.class_embeddings import ClassEmbeddings
from avzsl.contracts.errors import ConfigError, DataError
from avzsl.contracts.schemas import BENCHMARK_CLASSES, BENCHMARK_CLIPS, FEATURES, MEDIA, SPLIT, SPLIT_CLASSES
from avzsl.contracts.tables import read_table, write_table


@pytest.fixture
def files(tmp_path: Path) -> SyntheticFiles:
    counts, vectors = small((4, 2, 2), clips=4)
    return write(tmp_path / "in", counts, vectors, {name: name.upper() for name in vectors})


def put(files: SyntheticFiles, tmp_path: Path, media: list[Path] | None = None) -> Path:
    assemble(files.split, files.pack, media or [], files.embeddings, tmp_path / "out", "toy")
    return tmp_path / "out"


def edit(path: Path, schema, change) -> None:
    frame = read_table(path, schema)
    write_table(path, change(frame), schema)


def test_every_listed_clip_has_its_row_and_its_reason(files, tmp_path):
    split = read_table(files.split / "split.parquet", SPLIT)
    lost, excluded, unread = split["clip_id"].iloc[[0, 1, 2]]

    def fail(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["clip_id"] == lost, ["status", "reason", "row"]] = ["no_media", "removed", -1]
        frame.loc[frame["clip_id"] == unread, ["status", "reason", "row"]] = ["corrupt", "decoder gave up", -1]
        return frame

    edit(files.pack[1], FEATURES, fail)
    edit(
        files.split / "split.parquet",
        SPLIT,
        lambda f: f.assign(
            subset=f["subset"].mask(f["clip_id"] == excluded, "excluded"),
            reason=f["reason"].mask(f["clip_id"] == excluded, "duplicate"),
        ),
    )
    media = tmp_path / "media.parquet"
    write_table(
        media,
        pd.DataFrame(
            {
                "clip_id": [lost, unread],
                "shard": 0,
                "status": ["removed", "ok"],
                "permanent": True,
                "attempts": 1,
                "error": ["video unavailable", None],
            }
        ),
        MEDIA,
    )
    out = put(files, tmp_path, [media])
    clips = read_table(out / "clips.parquet", BENCHMARK_CLIPS).set_index("clip_id")
    assert sorted(clips.index) == sorted(split["clip_id"])
    assert clips.loc[lost, ["usable", "stage", "status", "reason"]].tolist() == [
        False,
        "media",
        "removed",
        "video unavailable",
    ]
    assert clips.loc[unread, ["usable", "stage", "status", "reason"]].tolist() == [
        False,
        "features",
        "corrupt",
        "decoder gave up",
    ]
    assert clips.loc[excluded, ["usable", "stage", "reason"]].tolist() == [False, "split", "duplicate"]
    assert clips["usable"].sum() == len(split) - 3
    summary = json.loads((out / "benchmark.json").read_text())
    assert summary["lost"] == {"features: corrupt": 1, "media: removed": 1, "split: excluded": 1}
    assert sum(c["listed"] for c in summary["clips"].values()) == len(split)
    assert summary["extractor"]["random_weights"] is True
    assert summary["chance"]["zsl"] == 50.0
    assert summary["chance"]["hm"] == pytest.approx(100 / 8)
    data = load(out, files.pack[0], files.embeddings)
    assert len(data.subset("train")) == 16 - 3
    for name, part in data.parts.items():
        for clip, row, label in zip(part.clip_ids, part.rows, part.labels, strict=True):
            assert read_arrays(files.pack[0])[1]["clip_ids"][row] == clip
            assert clip.split("/")[1] == data.class_names[label], name


def test_a_class_without_an_embedding_or_without_clips_is_excluded_with_its_reason(files, tmp_path):
    arrays, header = read_arrays(files.embeddings)
    gone, *names = header["class_names"]
    write_arrays(
        files.embeddings,
        {"vectors": arrays["vectors"][1:]},
        {**header, "class_names": names, "phrases": header["phrases"][1:], "missing": {gone: "unknown word 'xyzzy'"}},
    )
    roles = read_table(files.split / "classes.parquet", SPLIT_CLASSES)
    empty = roles.loc[(roles["role"] == "test_unseen"), "class_name"].iloc[0]

    def fail(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["clip_id"].str.contains(f"/{empty}/"), ["status", "row"]] = ["corrupt", -1]
        return frame

    edit(files.pack[1], FEATURES, fail)
    out = put(files, tmp_path)
    classes = read_table(out / "classes.parquet", BENCHMARK_CLASSES).set_index("class_name")
    assert classes.loc[gone, "role"] == classes.loc[empty, "role"] == "excluded"
    assert "xyzzy" in classes.loc[gone, "reason"]
    assert classes.loc[empty, "reason"] == "no usable clip"
    assert classes["reason"].notna().sum() == 2
    clips = read_table(out / "clips.parquet", BENCHMARK_CLIPS)
    assert set(clips.loc[clips["class_name"] == gone, "stage"]) == {"class"}
    assert set(clips.loc[clips["class_name"] == empty, "stage"]) == {"features"}
    data = load(out, files.pack[0], files.embeddings)
    assert gone not in data.class_names and empty not in data.class_names
    members, seen = data.candidates(2)
    assert (len(members), seen.sum()) == (6, 5)


def nan(files: SyntheticFiles) -> None:
    arrays, header = read_arrays(files.pack[0])
    arrays["visual"][5, 3] = np.nan
    write_arrays(files.pack[0], arrays, header)


def fewer_rows(files: SyntheticFiles) -> None:
    arrays, header = read_arrays(files.pack[0])
    write_arrays(files.pack[0], {**arrays, "audio": arrays["audio"][1:]}, header)


def other_order(files: SyntheticFiles) -> None:
    arrays, header = read_arrays(files.pack[0])
    write_arrays(files.pack[0], arrays, {**header, "clip_ids": header["clip_ids"][::-1]})


def other_split(files: SyntheticFiles) -> None:
    edit(files.split / "split.parquet", SPLIT, lambda f: f.assign(clip_id="x" + f["clip_id"]))


def empty_subset(files: SyntheticFiles) -> None:
    edit(files.split / "split.parquet", SPLIT, lambda f: f[f["subset"] != "val_unseen"])


def lost_subset(files: SyntheticFiles) -> None:
    def fail(frame: pd.DataFrame) -> pd.DataFrame:
        frame.loc[frame["clip_id"].str.startswith("test_seen"), ["status", "reason", "row"]] = [
            "too_short",
            "0.2 s",
            -1,
        ]
        return frame

    edit(files.pack[1], FEATURES, fail)


def nan_vector(files: SyntheticFiles) -> None:
    arrays, header = read_arrays(files.embeddings)
    arrays["vectors"][2] = np.inf
    write_arrays(files.embeddings, arrays, header)


def twice(files: SyntheticFiles) -> None:
    arrays, header = read_arrays(files.embeddings)
    write_arrays(files.embeddings, arrays, {**header, "class_names": [header["class_names"][0]] * 8})


def truncated(files: SyntheticFiles) -> None:
    files.pack[0].write_bytes(files.pack[0].read_bytes()[:-10])


@pytest.mark.parametrize(
    "damage,message",
    [
        (nan, r"packed.safetensors: the visual features of clip '.*' hold NaN or infinity"),
        (fewer_rows, r"has \d+ audio rows, \d+ visual rows and \d+ clip ids"),
        (other_order, "do not match the rows of its manifest"),
        (other_split, "split and features are of different catalogues"),
        (empty_subset, "subset val_unseen holds no clip"),
        (lost_subset, r"none of the \d+ clips of subset test_seen is usable \(the first: 0.2 s\)"),
        (nan_vector, "the vector of class 'class 002' holds NaN"),
        (twice, "lists a class name twice"),
        (truncated, "is not a whole file of features"),
    ],
)
def test_bad_input_is_one_sentence_before_anything_trains(files, tmp_path, damage, message):
    damage(files)
    with pytest.raises(DataError, match=message) as caught:
        put(files, tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "benchmark.json").exists()


def test_features_that_changed_since_are_refused(files, tmp_path):
    out = put(files, tmp_path)
    arrays, header = read_arrays(files.pack[0])
    write_arrays(files.pack[0], {**arrays, "audio": arrays["audio"] + 1}, header)
    with pytest.raises(DataError, match="has changed since"):
        load(out, files.pack[0], files.embeddings)


def test_candidates_of_the_stages(files, tmp_path):
    data = load(put(files, tmp_path), files.pack[0], files.embeddings)
    members, seen = data.candidates(1)
    assert data.roles[members[seen]].tolist() == ["train"] * 4
    assert data.roles[members[~seen]].tolist() == ["val_unseen"] * 2
    members, seen = data.candidates(2)
    assert len(members) == 8
    assert data.roles[members[~seen]].tolist() == ["test_unseen"] * 2


def test_released_row_order_is_the_identity_where_the_orders_agree():
    names = ["ApplyMakeup", "Diving", "Rowing"]
    assert released_rows({"ApplyMakeup": "apply makeup", "Diving": "diving"}, names) != {}
    assert released_rows(dict(zip(names, ["a", "b", "c"], strict=True)), names) == {n: n for n in names}
    # "CleanAndJerk" read as "Weight Lifting" moves every class after it up by one.
    assert released_rows({"CleanAndJerk": "Weight Lifting"}, ["Archery", "CleanAndJerk", "Diving"]) == {
        "Archery": "Archery", "CleanAndJerk": "Diving", "Diving": "CleanAndJerk",
    }  # fmt: skip


@pytest.mark.parametrize("dataset,wrong,classes", [("ucf", 79, 101), ("activitynet", 8, 200), ("vggsound", 205, 309)])
def test_released_row_order_on_the_published_class_lists(shared, dataset, wrong, classes):
    folder = shared / "data" / "published_splits" / dataset
    names = [line.strip() for line in (folder / "all_class.txt").read_text().splitlines() if line.strip()]
    table = pd.read_csv(folder / f"{dataset}_w2v_class_names.csv")
    phrases = dict(zip(table["original"], table["manual"], strict=True))
    phrases = {name: phrases.get(name, name) for name in names}
    rows = released_rows(phrases, names)
    assert len(names) == classes
    assert sum(name != other for name, other in rows.items()) == wrong


def test_vectors_by_name_or_in_the_released_order(tmp_path):
    counts, vectors = small((4, 2, 2), clips=2)
    names = sorted(vectors)
    # The last name's phrase sorts first: every other class gets its predecessor's vector.
    phrases = {name: name for name in names} | {names[-1]: "aardvark"}
    files = write(tmp_path / "in", counts, vectors, phrases)
    out = put(files, tmp_path)
    aligned = load(out, files.pack[0], files.embeddings)
    released = load(out, files.pack[0], files.embeddings, "as_released")
    assert aligned.class_names == released.class_names == tuple(names)
    np.testing.assert_allclose(aligned.vectors, np.stack([vectors[n] for n in names]).astype(np.float32))
    np.testing.assert_array_equal(released.vectors, np.roll(aligned.vectors, 1, axis=0))
    np.testing.assert_array_equal(released.audio, aligned.audio)


@pytest.mark.parametrize(
    "dataset,wrong,classes",
    [("ucf", 79, 101), ("activitynet", 8, 200), ("vggsound", 205, 309), ("audioset-zsl", 0, 33)],
)
def test_the_class_lists_hold_every_class_of_the_data_sets(dataset, wrong, classes):
    phrases = class_lists()[dataset]
    assert len(phrases) == classes
    assert sum(name != other for name, other in released_rows(phrases, phrases).items()) == wrong


@pytest.mark.parametrize("dataset", ["ucf", "activitynet", "vggsound"])
def test_the_class_lists_are_the_published_ones(shared, dataset):
    folder = shared / "data" / "published_splits" / dataset
    names = {line.strip() for line in (folder / "all_class.txt").read_text().splitlines() if line.strip()}
    table = pd.read_csv(folder / f"{dataset}_w2v_class_names.csv")
    manual = dict(zip(table["original"], table["manual"], strict=True))
    assert class_lists()[dataset] == {name: manual.get(name, name) for name in names}


def embedded(phrases):
    return ClassEmbeddings(tuple(phrases), np.eye(len(phrases), dtype=np.float32), tuple(phrases.values()), {})


def test_the_released_order_is_that_of_the_whole_data_set():
    """The 51 classes with sound, in a folder that holds no other, get the rows that all 101 give them or none."""
    whole = class_lists()["ucf"]
    some = ["Archery", "CleanAndJerk", "Diving", "Drumming"]
    part = {name: whole[name] for name in whole if name < "D" or name in some}
    found = catalogue_rows(embedded(part))
    assert found == {name: other for name, other in released_rows(whole, whole).items() if name in part}
    assert found != released_rows(part, part)
    with pytest.raises(ConfigError, match="needs the vector of"):
        class_vectors(embedded(part), list(part), "as_released")
    everything = class_vectors(embedded(whole), some, "as_released")
    names = list(whole)
    assert [names[i] for i in everything.argmax(1)] == [released_rows(whole, whole)[name] for name in some]


def test_an_order_that_cannot_be_established_is_refused():
    phrases = {"Archery": "Archery", "Diving": "Diving", "Walking the dog": "x"}
    with pytest.raises(ConfigError, match="'Walking the dog' is not, so the released order cannot be established"):
        class_vectors(embedded(phrases), ["Diving"], "as_released")
    assert class_vectors(embedded(phrases), ["Diving"], "aligned").tolist() == [[0, 1, 0]]


def test_names_may_be_spelt_in_other_ways():
    phrases = {name.replace("Handstand", "HandStand"): phrase for name, phrase in class_lists()["ucf"].items()}
    assert "HandStandPushups" in catalogue_rows(embedded(phrases))
    assert len(catalogue_rows(embedded(phrases))) == 101
