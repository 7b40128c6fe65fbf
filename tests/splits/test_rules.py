"""The rules that decide which clip and class goes where, one by one, on tables of a few rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from avzsl.config.splits import ListsConfig, SplitConfig
from avzsl.contracts.errors import ConfigError, DataError
from splits import build_split
from splits.export import write_lists
from splits.facts import Filter, Order
from splits.imported import differences_from
from splits.lists import read_all_classes, read_ids
from splits.population import cjme, cjme_sizes, input_order, left_out
from splits.roles import _feasible, _wanted, draw_roles, redrawn

EXPECTED = {
    1: (1, 0, 0),
    2: (2, 0, 0),
    3: (2, 0, 1),
    4: (3, 0, 1),
    5: (3, 1, 1),
    7: (5, 1, 1),
    10: (6, 2, 2),
    11: (7, 2, 2),
    14: (9, 2, 3),
}


def test_shares_of_a_class() -> None:
    assert {clips: cjme_sizes(clips) for clips in EXPECTED} == EXPECTED


def table(rows: list[tuple[str, str, str, float]]) -> pd.DataFrame:
    """clip_id, class_name, official_subset, seconds."""
    frame = pd.DataFrame(rows, columns=["clip_id", "class_name", "official_subset", "end_s"])
    roles = {"a": "train", "b": "test_unseen"}
    return frame.assign(start_s=0.0, role=frame["class_name"].map(roles)).sort_values("clip_id", ignore_index=True)


ROWS = [
    ("a1", "a", "train", 5.0), ("a2", "a", "eval", 1.0), ("a3", "a", "train", 2.0), ("b1", "b", "eval", 2.5), ("b2", "b", "train", 1.0),
]  # fmt: skip


def dropped(rule: dict[str, Any], **split: Any) -> dict[str, str]:
    frame, notes = table(ROWS), []
    config = SplitConfig.model_validate({"avoid": [], **split})
    reason = left_out(frame, "f", Filter.model_validate(rule), config, None, notes)
    assert len(notes) == ("drawn" in "".join(notes))
    return {
        clip: why.removeprefix("filter f: ")
        for clip, why in zip(frame["clip_id"], reason, strict=True)
        if isinstance(why, str)
    }


@pytest.mark.parametrize(
    ("rule", "clips"),
    [
        ({}, []),
        ({"clips": ["a2", "zz"]}, ["a2"]),
        ({"first": {"a": 2}}, ["a3"]),
        ({"first": {"a": 3, "b": 0}}, ["b1", "b2"]),
        ({"longer_than_s": 2.0}, ["a2", "a3", "b2"]),
        ({"longer_than_s": 0.5}, []),
        ({"official_subset": "train"}, ["a2", "b1"]),
        ({"official_subset": "train", "roles": ["test_unseen"]}, ["b1"]),
        ({"clips": ["a2"], "longer_than_s": 1.0}, ["a2", "b2"]),
    ],
)
def test_what_a_filter_leaves_out(rule, clips) -> None:
    assert sorted(dropped(rule)) == clips


def test_the_first_reason_stays() -> None:
    assert dropped({"clips": ["a2"], "longer_than_s": 1.0}) == {"a2": "named", "b2": "not longer than 1 s"}
    assert dropped({"clips": ["a1"], "first": {"a": 9}}) == {"a1": "lost in the released extraction"}


def test_released_lists_decide_which_clips_there_were(tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("a1,5\na2\tx\n b1 \n")
    lists = {"lists": {"path": str(ids)}}
    assert read_ids(ListsConfig(path=str(ids)), None) == {"a1", "a2", "b1"}
    assert dropped({"listed": True}, **lists) == dict.fromkeys(("a3", "b2"), "not in the released lists")
    # Those in the lists were measured: a short one stays.
    assert sorted(dropped({"longer_than_s": 2.0}, **lists)) == ["a3", "b2"]
    with pytest.raises(ConfigError, match=r"leave it out with `filters: \[other\]`"):
        dropped({"listed": True}, filters=["other", "f"])
    with pytest.raises(ConfigError, match=r"`filters: \[\]`"):
        dropped({"listed": True})
    ids.write_text("")
    with pytest.raises(DataError, match="holds no clip id"):
        read_ids(ListsConfig(path=str(ids)), None)


def test_without_lists_as_many_are_drawn_as_there_were() -> None:
    counts = (("a", 20, 6), ("b", 12, 6), ("c", 40, 4))
    rows = [(f"{c}{k:02}", c, "eval" if k < e else "train", 9.0) for c, n, e in counts for k in range(n)]
    frame, config = table(rows), SplitConfig.model_validate({"avoid": [], "seed": 4})
    rule = Filter.model_validate({"listed": "optional", "sizes": {"a": 10, "c": 20}})
    reason = left_out(frame, "f", rule, config, None, notes := [])
    kept = frame[reason.isna()]
    assert kept["class_name"].value_counts().to_dict() == {"a": 10, "b": 6 + 2, "c": 20}
    # Of 10 and of 12 clips the test holds 2, and no more evaluation segments; else they keep their share.
    assert kept[kept["official_subset"] == "eval"]["class_name"].value_counts().to_dict() == {"a": 2, "b": 2, "c": 2}
    assert notes == ["filter f: drawn with seed 4; the released population needs `lists`"]
    again = left_out(frame, "f", rule, config, None, [])
    assert again.isna().tolist() == reason.isna().tolist()
    other = left_out(frame, "f", rule, config.model_copy(update={"seed": 5}), None, [])
    assert other.isna().tolist() != reason.isna().tolist()


def test_evaluation_segments_end_in_the_test() -> None:
    rows = [(f"{c}{k:02}", c, "eval" if k < 2 else "train", 9.0) for c in "ab" for k in range(10)]
    frame = table(rows).assign(subset=lambda f: cjme(f, SplitConfig.model_validate({"avoid": []})))
    counts = frame.groupby("class_name")["subset"].value_counts(dropna=False).to_dict()
    assert {(c, s if isinstance(s, str) else None): n for (c, s), n in counts.items()} == {
        ("a", "train"): 6, ("a", "val_seen"): 2, ("a", "test_seen"): 2, ("b", None): 6, ("b", "val_unseen"): 2, ("b", "test_unseen"): 2,
    }  # fmt: skip
    tested = frame["subset"].isin(["test_seen", "test_unseen"])
    assert (tested == (frame["official_subset"] == "eval")).all()


def test_the_input_order_is_that_of_the_parts() -> None:
    frame = pd.DataFrame({"class_name": [*"aaabb"], "clip_id": ["4", "5", "6", "1", "2"]})
    assert input_order(frame, "name")["clip_id"].tolist() == ["1", "2", "4", "5", "6"]
    parts = Order(parts={"1": "b", "4": "a", "6": "a"})
    assert input_order(frame, parts)["clip_id"].tolist() == ["1", "2", "4", "5", "6"]
    parts = Order(parts={"6": "a", "4": "a", "2": "b"})
    assert input_order(frame, parts)["clip_id"].tolist() == ["1", "6", "4", "5", "2"]
    # A clip before the first of all begins the first part; a part may be empty.
    parts = Order(parts={"2": "b", "5": "a", "7": "a"})
    assert input_order(frame, parts)["clip_id"].tolist() == ["2", "4", "5", "6", "1"]


def split(**keys: Any) -> SplitConfig:
    return SplitConfig.model_validate({"avoid": [], **keys})


@pytest.mark.parametrize(
    ("total", "shares", "forced", "expected"),
    [
        (10, (0.2, 0.3), [], (2, 3)),
        (10, (0.25, 0.15), [], (3, 2)),  # halves are rounded up
        (3, (0.1, 0.1), [], (1, 1)),  # one at least
        (10, (0.2, 0.3), ["test_unseen", "val_unseen", "val_unseen", "train"], (1, 1)),
        (10, (0.2, 0.3), ["test_unseen"] * 4, (-2, 3)),
    ],
)
def test_how_many_unseen_classes_are_wanted(total, shares, forced, expected) -> None:
    wanted = _wanted(split(test_unseen=shares[0], val_unseen=shares[1]), total, forced)
    assert (wanted["test_unseen"], wanted["val_unseen"]) == expected


@pytest.mark.parametrize(
    ("wanted", "candidates", "forced", "overlapping", "expected"),
    [
        ((2, 3), 6, [], [], (2, 3)),
        ((2, 3), 5, [], ["x"], (2, 3)),  # training has the overlapping class
        ((2, 3), 5, ["train"], [], (2, 3)),
        ((2, 3), 5, [], [], (2, 2)),  # one stays for training
        ((2, 6), 5, [], [], (1, 3)),
        ((8, 1), 5, [], [], (3, 1)),  # every role keeps one
        ((1, 8), 5, [], [], (1, 3)),
        ((8, 1), 3, ["val_unseen"], [], (2, 0)),
        ((1, 9), 4, ["test_unseen"], [], (0, 3)),
        ((-2, 3), 6, ["test_unseen"], [], (0, 3)),
        ((1, 1), 3, [], [], (1, 1)),
        ((1, 1), 2, [], ["x"], (1, 1)),
    ],
)
def test_what_is_wanted_shrinks_to_what_may_be_unseen(wanted, candidates, forced, overlapping, expected) -> None:
    got, notes = _feasible(
        {"test_unseen": wanted[0], "val_unseen": wanted[1]}, candidates, 20, forced, overlapping, split()
    )
    assert (got["test_unseen"], got["val_unseen"]) == expected
    assert bool(notes) is (expected != tuple(max(number, 0) for number in wanted))


@pytest.mark.parametrize(
    ("candidates", "total", "overlapping", "words"),
    [
        (2, 2, [], "at least 3 classes with clips; this data set has 2"),
        (2, 3, [], "only 2 of 3 classes may be unseen: too few"),
        (1, 3, ["x", "y"], "only 1 of 3 classes may be unseen; 2 overlap with"),
    ],
)
def test_too_few_classes_are_said(candidates, total, overlapping, words) -> None:
    with pytest.raises(ConfigError, match=words):
        _feasible({"test_unseen": 1, "val_unseen": 1}, candidates, total, [], overlapping, split())


def test_an_empty_class_is_nobodys_and_a_forced_one_what_it_is() -> None:
    classes = pd.DataFrame({"class_name": [*"abcdefgh"], "category": [None] * 8, "clips": [0, 1, 9, 9, 9, 9, 9, 9]})
    nothing = pd.DataFrame(columns=["class_name", "label_set", "label", "kind"])
    overlap = pd.DataFrame([["d", "kinetics", "dance", "same"], ["d", "k", "d", "x"]], columns=nothing.columns)
    config = split(force={"c": "test_unseen", "b": "excluded"}, test_unseen=0.4, val_unseen=0.2, seed=0)
    roles, notes = draw_roles(classes, config, overlap)
    assert roles["a"] == ("excluded", "no clips") and roles["b"] == ("excluded", "forced")
    assert roles["c"] == ("test_unseen", "forced") and roles["d"] == ("train", "overlap: kinetics 'dance' (same)")
    drawn = [role for role, why in roles.values() if why.startswith("drawn with seed 0")]
    assert sorted(drawn) == ["test_unseen", "train", "train", "val_unseen"] and not notes
    with pytest.raises(ConfigError, match="no class 'y', 'z'"):
        draw_roles(classes, split(force={"z": "train", "y": "train"}), nothing)


def test_drawing_anew_keeps_how_many_are_tested() -> None:
    roles = {f"c{k}": ("test_unseen" if k < 3 else "val_unseen" if k < 8 else "train", "imported") for k in range(10)}
    roles["f"] = ("test_unseen", "forced")
    made = [redrawn(roles, split(seed=seed)) for seed in range(6)]
    for new in made:
        assert new["f"] == roles["f"] and new["c8"] == roles["c8"]
        own = [new[f"c{k}"][0] for k in range(8)]
        assert own.count("test_unseen") == 3 and own.count("val_unseen") == 5
    assert len({tuple(new[f"c{k}"][0] for k in range(8)) for new in made}) > 3


def test_lists_with_a_class_that_is_not_there_and_what_differs_from_them(catalog, tmp_path) -> None:
    clips, classes = catalog([30] * 10)
    made = build_split(clips, classes, split(seed=3))
    write_lists(made, tmp_path)
    main = tmp_path / "main_split"
    config = split(flavour="imported", gates={}, lists={"path": str(tmp_path)})
    assert differences_from(made.clips, config, None) == []
    moved = made.clips.copy()
    trained = moved.index[moved["subset"] == "train"][:2]
    moved.loc[trained, "subset"] = ["test_seen", "excluded"]
    ids = moved.loc[trained, "clip_id"].tolist()
    assert differences_from(moved, config, None) == sorted(
        [f"{ids[0]}: test_seen here, train in the lists", f"{ids[1]}: none here, train in the lists"]
    )
    # A class whose line is missing takes no part, and its clips say why.
    names = [line.strip() for line in (main / "stage_1_train.txt").read_text().splitlines() if line.strip()]
    (main / "stage_1_train.txt").write_text("\n".join(names[1:]) + "\n")
    if (main / "stage_1_val_seen.txt").exists():
        for seen in ("stage_1_val_seen", "stage_2_test_seen"):
            rest = [n for n in (main / f"{seen}.txt").read_text().split("\n") if n.strip() and n.strip() != names[0]]
            (main / f"{seen}.txt").write_text("\n".join(rest) + "\n")
    again = build_split(clips, classes, config)
    own = again.clips[again.clips["class_name"] == names[0]]
    assert set(own["subset"]) == {"excluded"}
    assert set(own["reason"]) == {"class excluded: its clips are listed, the class is not"}
    assert (again.clips.loc[again.clips["class_name"] != names[0], "subset"] != "excluded").all()
    assert any("has clips in the list of train" in finding for finding in again.findings)


def test_all_classes_stand_beside_released_lists(tmp_path) -> None:
    config = ListsConfig(path=str(tmp_path))
    assert read_all_classes(config, None) == []
    (tmp_path / "all_class.txt").write_text("run\n jump \n")
    assert read_all_classes(config, None) == ["run", "jump"]


def test_rows_in_any_order_give_one_table_and_sorted_lists(catalog, tmp_path) -> None:
    clips, classes = catalog([30] * 10)
    made = build_split(clips, classes, split(seed=3))
    again = build_split(clips.iloc[::-1].reset_index(drop=True), classes.iloc[::-1], split(seed=3))
    pd.testing.assert_frame_equal(made.clips, again.clips)
    pd.testing.assert_frame_equal(made.classes, again.classes)
    assert made.clips.index.tolist() == list(range(len(clips)))
    write_lists(made, tmp_path)
    for file in (tmp_path / "main_split").glob("*.txt"):
        names = file.read_text().splitlines()
        assert names == sorted(names)
