"""Lists of both layouts that are made here: what is read from them, and what they say against each other."""

from __future__ import annotations

import pytest

from avzsl.config.splits import ListsConfig, SplitConfig
from avzsl.contracts.errors import AvzslError, DataError
from splits import audit_split, build_split
from splits.export import write_lists
from splits.lists import read_ids


@pytest.fixture
def made(catalog, tmp_path):
    """A random split, its catalogue and its lists."""
    clips, classes = catalog([30] * 10)
    split = build_split(clips, classes, SplitConfig(seed=3, avoid=()))
    write_lists(split, tmp_path)
    return clips, classes, split, tmp_path


def imports(made, **keys):
    clips, classes, _, folder = made
    config = SplitConfig.model_validate(
        {"flavour": "imported", "avoid": [], "gates": {}, "lists": {"path": str(folder), **keys}}
    )
    return build_split(clips, classes, config), config


def test_lists_that_were_written_give_the_split_back(made):
    clips, classes, split, _ = made
    again, config = imports(made)
    assert again.findings == []
    assert again.clips["subset"].tolist() == split.clips["subset"].tolist()
    assert again.classes["role"].tolist() == split.classes["role"].tolist()
    assert audit_split(again, clips, classes, config)["lists"].count == 0
    assert read_ids(ListsConfig(path=str(made[3])), None) == set(clips["clip_id"])


def edit(folder, stage: str, change) -> None:
    path = folder / "main_split" / f"{stage}.csv"
    path.write_text(change(path.read_text()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text + text.splitlines()[1] + "\n", "is listed twice"),
        (lambda text: text.replace("filename", "file"), "expected the columns"),
        (lambda text: text + ",kind 00,0\n", "a file name and a label"),
    ],
)
def test_a_list_that_is_not_what_it_should_be(made, change, words):
    edit(made[3], "stage_1_val_seen", change)
    with pytest.raises(DataError, match=words):
        imports(made)


def test_differences_are_said_one_by_one(made):
    clips, _, split, folder = made
    trained = split.clips.loc[split.clips["subset"] == "train", "clip_id"].tolist()
    label = dict(zip(clips["clip_id"], clips["class_name"], strict=True))
    lost, twice, stranger = trained[0], trained[1], "kind 99/000"
    edit(folder, "stage_1_train", lambda text: text.replace(f"{lost},{label[lost]}", f"{stranger},{label[lost]}"))
    edit(folder, "stage_2_test_seen", lambda text: text + f"{twice},{label[twice]},0\n")
    again, _ = imports(made)
    assert set(again.findings) == {
        f"{stranger}: in a part of stage_2_train.csv but not in it",
        f"{lost}: in stage_2_train.csv but in none of its three parts",
        f"{stranger}: listed as {label[lost]}, not in the catalogue",
        f"{twice}: in the lists of train and test_seen",
    }
    table = again.clips.set_index("clip_id")
    assert table.loc[lost, "subset"] == "excluded" and table.loc[lost, "reason"] == "in none of the lists"
    assert table.loc[twice, "subset"] == "train"


def test_lists_of_another_data_set(catalog, made):
    clips, classes = catalog([5] * 4, names=["a", "b", "c", "d"])
    with pytest.raises(AvzslError, match="is it of another data set"):
        imports((clips, classes, None, made[3]))


def test_lists_by_class(catalog, tmp_path):
    """CJME's layout: seen classes in three parts, unseen ones too, whose first part is nobody's."""
    names = ["dog", "owl"]
    clips, classes = catalog([3, 3], names=names)
    ids = [f"{name}-{number:07d}" for name in names for number in range(3)]
    clips["clip_id"] = [f"{name}_{1500}" for name in ids]
    (tmp_path / "seen_class.txt").write_text("['dog']")
    (tmp_path / "unseen_class.txt").write_text("['owl']")
    for part, number in (("trn", 0), ("val", 1), ("tst", 2)):
        (tmp_path / part).mkdir()
        for k, name in enumerate(names):
            (tmp_path / part / f"{name}.txt").write_text(f"1, {ids[3 * k + number]}, 1.500, 11.500, /m/0abc\n")
    split, _ = imports((clips, classes, None, tmp_path), layout="cjme")
    assert split.clips["subset"].tolist() == ["train", "val_seen", "test_seen", "excluded", "val_unseen", "test_unseen"]
    assert split.clips["reason"].tolist()[3] == "a trn clip of an unseen class"
    (tmp_path / "trn" / "dog.txt").write_text(f"1, {ids[0]}, 1.5, 11.5, /m/0abc\n" * 2)
    with pytest.raises(DataError, match="listed twice"):
        imports((clips, classes, None, tmp_path), layout="cjme")
