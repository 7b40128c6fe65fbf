"""Each check of the audit on a table of a few rows, and the page of one audit: expected values are counted by hand."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import AvzslError, ConfigError
from splits import audit_split, build_split
from splits.audit import LATER, Audit, as_page, write_audit
from splits.check import Check
from splits.class_checks import disjointness, embedding_order, empty_classes, near_duplicates
from splits.export import write_lists
from splits.leaks import official_mixing, overlapping_times, pretraining, shared_sources

CLIPS = ["clip_id", "class_name", "source_id", "start_s", "end_s", "official_subset", "subset"]
NOTHING = pd.DataFrame(columns=["class_name", "label_set", "label", "kind", "evidence"])


def result(checks: list[Check]) -> dict[str, tuple[int | None, int, list[str]]]:
    return {check.name: (check.count, check.total, check.examples) for check in checks}


def clips(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """clip, source, subset."""
    return pd.DataFrame([(c, "k", s, None, None, None, w) for c, s, w in rows], columns=CLIPS)


def classes(**subsets: str) -> pd.DataFrame:
    """A clip of each class (one letter) of each subset."""
    return pd.DataFrame([(n, s) for s, names in subsets.items() for n in names], columns=["class_name", "subset"])


@pytest.mark.parametrize(
    ("count", "total", "limit", "share", "passed"),
    [(3, 12, None, 0.25, True), (3, 12, 3, 0.25, True), (3, 12, 2, 0.25, False), (None, 5, 9, None, False), (None, 5, None, None, True), (0, 0, 0, 0.0, True)],
)  # fmt: skip
def test_a_check(count, total, limit, share, passed) -> None:
    check = Check("n", "t", count, total, limit=limit)
    assert (check.share, check.passed) == (share, passed)


def test_classes_on_two_sides() -> None:
    table = classes(train="adu", val_seen="ab", val_unseen="bevd", test_unseen="uvwxe", test_seen="w")
    # Trained: a b d e u v; in stage 1: a b d u.
    assert result(disjointness(table)) == {
        "class_disjointness": (3, 5, ["e", "u", "v"]),
        "stage_1_disjointness": (3, 7, ["b", "d", "u"]),
        "val_unseen_is_test_unseen": (2, 4, ["e", "v"]),
    }
    assert result(disjointness(classes(test_seen="a"))) == {
        "class_disjointness": (0, 0, []), "stage_1_disjointness": (0, 0, []), "val_unseen_is_test_unseen": (0, 0, []),
    }  # fmt: skip


def test_classes_without_clips() -> None:
    roles = pd.DataFrame(
        [("a", "train", "x"), ("b", "train", "x"), ("c", "val_unseen", "x"), ("d", "test_unseen", "x"), ("e", "test_unseen", "x"),
         ("f", "excluded", "no clips"), ("g", "excluded", "forced"), ("h", "test_unseen", "x")],
        columns=["class_name", "role", "reason"],
    )  # fmt: skip
    table = classes(train="abc", test_seen="ad", test_unseen="dddd" + "eeeee" + "b")
    assert result(empty_classes(table, roles)) == {
        "classes_without_clips": (1, 8, ["f"]),
        "classes_without_test": (3, 6, ["b", "c", "h"]),
        "small_test_classes": (2, 3, ["b: 1", "d: 4"]),
    }


def test_the_released_order_of_embeddings() -> None:
    table = pd.DataFrame({"class_name": ["c", "a", "b"], "phrase": ["z", "y", "x"]})
    check = embedding_order(table)
    assert (check.count, check.total, check.examples) == (2, 3, ["a gets 'x'", "b gets 'y'"])


ROLES = pd.DataFrame({"class_name": [*"abcd"], "role": ["train", "val_unseen", "test_unseen", "test_unseen"]})
PHRASES = ROLES.assign(phrase=["a red dog", "cat", "of a dog red", "sea"])


def test_names_that_resemble_each_other(tmp_path) -> None:
    vectors = {
        "a": np.array([1.0, 0.0]),
        "b": np.array([0.0, 1.0]),
        "c": np.array([0.1, 0.9]),
        "d": np.array([0.8, 0.6]),
    }
    overlap = pd.DataFrame(
        [("c", "s", "l2"), ("c", "s", "l1"), ("a", "s", "l1"), ("b", "s", "l2"), ("d", "t", "l1"), ("b", "s", "l9")],
        columns=["class_name", "label_set", "label"],
    )

    def names(config: SplitConfig, vectors: dict[str, np.ndarray] | None, roles: pd.DataFrame = ROLES) -> Check:
        near, common = near_duplicates(roles, PHRASES, overlap, config, vectors)
        # A label that a seen class has too, the first of them; another label set's is another label.
        assert result([common]) in (
            {"same_label_classes": (1, 2, ["c ~ a (both 'l1')"])}, {"same_label_classes": (0, 0, [])},
        )  # fmt: skip
        return near

    near = names(SplitConfig(), vectors)
    # 0.8 is not above 0.8.
    assert (near.count, near.total, near.examples, near.note) == (1, 2, ["c ~ b (cosine 0.90)"], "cosine above 0.8")
    lower = SplitConfig.model_validate({"overlap": {"threshold": 0.79}})
    assert names(lower, vectors).examples == ["c ~ b (cosine 0.90)", "d ~ a (cosine 0.80)"]
    # A class without a vector resembles none.
    assert names(lower, {k: v for k, v in vectors.items() if k != "b"}).examples == ["d ~ a (cosine 0.80)"]
    assert names(lower, {k: v for k, v in vectors.items() if k in "ab"}).examples == []
    assert names(lower, {k: v for k, v in vectors.items() if k in "cd"}).examples == []
    near = names(lower, vectors, ROLES[:2])
    assert (near.count, near.total) == (0, 0)
    # Without vectors the same words count; a table of word vectors serves in their place.
    near = names(SplitConfig(), None)
    assert (near.count, near.examples) == (1, ["c ~ a (the same words)"]) and near.note.startswith("no word vectors")
    (tmp_path / "words.txt").write_text("dog 1 0\nred 1 0\ncat 0 1\nsea 0.1 1\n")
    table = SplitConfig.model_validate({"overlap": {"vectors": str(tmp_path / "words.txt")}})
    assert names(table, None).examples == ["c ~ a (cosine 1.00)", "d ~ b (cosine 1.00)"]


def test_sources_on_two_sides() -> None:
    table = clips(
        ("t1", "1", "train"), ("t0", "1", "train"), ("v0", "1", "val_seen"), ("v1", "2", "val_seen"), ("s0", "2", "test_seen"),
        ("s1", "3", "test_seen"), ("s2", "5", "test_seen"), ("u0", "3", "val_unseen"), ("u1", "1", "val_unseen"), ("x0", "5", "test_unseen"),
        ("x2", "6", "test_unseen"), ("x1", "3", "test_unseen"), ("e0", "6", "excluded"),
    )  # fmt: skip
    assert result(shared_sources(table)) == {
        "val_seen_source": (1, 2, ["v0 with t1"]),
        "test_seen_source": (2, 3, ["s0 with v1", "s1 with u0"]),
        "val_unseen_source": (1, 2, ["u1 with t1"]),
        "test_unseen_source": (2, 3, ["x0 with s2", "x1 with s1"]),
    }


def test_times_that_overlap() -> None:
    rows = [
        ("t0", "1", 0.0, 10.0, "train"), ("v0", "1", 6.0, 9.0, "val_unseen"), ("s0", "1", 10.0, 20.0, "test_seen"),  # it only touches
        ("s1", "1", 5.0, 15.0, "test_seen"),  # half of it, and 3 of 10 s
        ("s2", "1", 4.0, 14.0, "test_seen"),  # more than half
        ("s3", "2", 0.0, 10.0, "test_seen"), ("s4", "1", None, 8.0, "test_seen"), ("x0", "1", 12.0, 13.0, "test_unseen"), ("x1", "2", 2.0, 3.0, "test_unseen"),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["clip_id", "source_id", "start_s", "end_s", "subset"])
    seen, unseen = overlapping_times(table)
    assert (seen.name, seen.count, seen.total) == ("test_seen_time", 2, 5)
    assert seen.examples == ["s1 with t0", "s1 with v0", "s2 with t0", "s2 with v0"]
    assert seen.note == "1 by more than half of the clip; the times of 1 clips are not known"
    # A test_seen clip shows what an unseen class looks like, too.
    assert (unseen.name, unseen.count, unseen.total) == ("test_unseen_time", 2, 2)
    assert unseen.examples == ["x0 with s0", "x0 with s1", "x0 with s2", "x1 with s3"]
    assert unseen.note == "2 by more than half of the clip"


PRETRAINED = [
    ("a", "1", "train", "test_seen"), ("b", "1", "test", "test_seen"), ("c", "2", "test", "test_seen"), ("d", "3", "train", "val_unseen"), ("e", "1", "test", "val_unseen"),
    ("f", "4", "training", "test_unseen"), ("g", "5", "test", "test_unseen"), ("h", "6", "train", "train"),
]  # fmt: skip


def test_clips_of_pretraining(tmp_path) -> None:
    table = pd.DataFrame(PRETRAINED, columns=["clip_id", "source_id", "official_subset", "subset"])
    checks = pretraining(table, SplitConfig(pretraining={"p": "official:train"}))
    assert result(checks) == {
        "test_seen_in_p": (1, 3, ["a"]), "test_unseen_in_p": (0, 2, []), "val_seen_in_p": (0, 0, []), "val_unseen_in_p": (1, 2, ["d"]),
    }  # fmt: skip
    assert [check.note[0] for check in checks] == ["1", "0", "0", "1"]
    (tmp_path / "ids.csv").write_text("# 2,x,y\n5 ,a,b\n1\n")
    checks = pretraining(table, SplitConfig(pretraining={"p": str(tmp_path / "ids.csv")}))
    assert [check.examples for check in checks] == [["a", "b"], ["g"], [], ["e"]]
    assert {check.note[0] for check in checks} == {"0"}
    with pytest.raises(ConfigError, match=r"pretraining.p: no clip is of official subset 'eval'"):
        pretraining(table, SplitConfig(pretraining={"p": "official:eval"}))
    assert result(official_mixing(table)) == {"official_mixing": (2, 5, ["a", "f"])}
    table["official_subset"] = None
    assert official_mixing(table) == []
    table.loc[0, "official_subset"] = "balanced_train"
    assert result(official_mixing(table)) == {"official_mixing": (1, 5, ["a"])}


def test_what_a_failing_gate_says() -> None:
    checks = [
        Check("one", "things", 4, 8, ["a", "b", "c", "d"], limit=1.5), Check("two", "x", 9, 9), Check("three", "y", None, 3, note="off", limit=0),
        Check("four", "z", 2, 2, limit=1),
    ]  # fmt: skip
    with pytest.raises(AvzslError) as caught:
        Audit({}, checks).enforce()
    assert str(caught.value) == (
        "audit: one: 4 of 8 things; the gate allows 1.5, for example a; b; c. three has a gate, but was off. four: 2 of 2 z; the gate allows 1"
    )
    Audit({}, checks[1:2]).enforce()


PAGE = """# Audit of the split

| subset | clips |
|---|---:|
| train | 3 |

## Checks

| check | count | of | share | gate | examples and notes |
|---|---:|---:|---:|---|---|
| things (`one`) | 4 | 8 | 50.0% | **FAILED**, at most 1.5 | a; b\\|; c; d; e; (why) |
| x (`two`) | not checked | 9 |  |  |  |
| y (`three`) | 1 | 3 | 33.3% | passed, at most 1 |  |
"""


def test_the_page(tmp_path) -> None:
    checks = [
        Check("one", "things", 4, 8, ["a", "b|", *"cdef"], "why", 1.5),
        Check("two", "x", None, 9),
        Check("three", "y", 1, 3, limit=1),
    ]
    assert as_page(Audit({"train": 3}, checks)) == f"{PAGE}\n{LATER}\n"
    full = Audit(
        {"train": 3},
        checks,
        [dict(zip("abcde", ["dog", "s", "Dog", "exact", "the <same>"], strict=True))],
        {"lost": 2},
        ["note"],
    )
    assert as_page(full).removeprefix(PAGE).splitlines() == [
        "", "## Excluded clips", "", "| reason | clips |", "|---|---:|", "| lost | 2 |",
        "", "## Classes that pre-training label sets hold", "", "| class | label set | label | kind | evidence |", "|---|---|---|---|---|",
        "| dog | s | Dog | exact | the &lt;same> |", "", "## Notes", "", "- note", "", LATER,
    ]  # fmt: skip
    write_audit(full, tmp_path)
    kept = json.loads((tmp_path / "audit.json").read_text())
    assert [(c["share"], c["passed"]) for c in kept["checks"]] == [(0.5, False), (None, True), (0.333333, True)]


@pytest.fixture
def known(catalog, tmp_path):
    """A benchmark of one's own: its facts as a file, its catalogue, and the lists of its split."""
    names = [f"k{i}" for i in range(8)]
    tables = catalog([20] * 8, names=names)
    facts = {
        "roles": {"train": names[:4], "val_unseen": names[4:6], "test_unseen": names[6:]}, "dropped": {"cls": ["k4", "k7"]},
        "counts": {"train": 70, "test_unseen": 40, "excluded": 3},
    }  # fmt: skip

    def audited(lists: bool = False, **keys) -> Audit:
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(facts | {"recipe": keys.pop("recipe", "avca")}))
        given = {"flavour": "published", "classes": str(tmp_path / "own.yaml"), "avoid": [], "gates": {}, **keys}
        if lists:
            plain = SplitConfig.model_validate(
                {k: v for k, v in given.items() if k != "seed"} | {"flavour": "published", "variant": "main"}
            )
            write_lists(build_split(*tables, plain), tmp_path / "lists")
            given |= {"lists": {"path": str(tmp_path / "lists")}}
        config = SplitConfig.model_validate(given)
        return audit_split(build_split(*tables, config), *tables, config)

    return audited


def names_of(audit: Audit) -> set[str]:
    return {check.name for check in audit.checks}


def test_numbers_that_were_published(known) -> None:
    audit = known()
    # 4 classes of 20 clips: 72 are trained on, of which 7.2 are held out again.
    assert (audit.counts["train"], audit.counts["test_unseen"]) == (64, 40)
    check = audit["published_counts"]
    assert (check.count, check.total, check.examples) == (
        9,
        113,
        ["excluded: 0 instead of 3", "train: 64 instead of 70"],
    )
    check = audit["variant_classes"]
    assert (check.count, check.total, check.examples) == (2, 4, ["k4", "k7"])
    assert (audit["test_seen_ratio"].count, audit["test_seen_ratio"].total) == (0, 6)
    assert "lists" not in names_of(audit)


def test_which_splits_are_compared_with_lists(known, tmp_path) -> None:
    audit = known(lists=True)
    assert (audit["lists"].count, audit["lists"].total) == (0, 160)
    assert known(lists=True, seed=1)["lists"].count > 10
    for keys in ({"flavour": "random"}, {"flavour": "source_disjoint"}):
        assert "lists" not in names_of(known(lists=True, **keys))
    for keys in ({"recipe": "cjme"}, {"variant": "cls"}):
        assert "lists" not in names_of(known(lists=True, **keys))


def test_what_has_no_share_of_its_own(known, catalog, tmp_path) -> None:
    assert "test_seen_ratio" not in names_of(known(recipe="cjme"))
    tables = catalog([20] * 8)
    config = SplitConfig.model_validate({"avoid": [], "gates": {}})
    write_lists(build_split(*tables, config), tmp_path / "plain")
    given = {"flavour": "imported", "lists": {"path": str(tmp_path / "plain")}, "avoid": [], "gates": {}}
    imported = SplitConfig.model_validate(given)
    audit = audit_split(build_split(*tables, imported), *tables, imported)
    assert (audit["lists"].count, audit["lists"].total) == (0, 160)
    assert not names_of(audit) & {"test_seen_ratio", "published_counts", "variant_classes"}


def test_shares_that_are_more_than_one_clip_off(catalog) -> None:
    """Sources of 5 clips: of 20, 30, 40, 60 clips a tenth is 2, 3, 4, 6 and what whole sources give 5, 5, 5, 5."""
    tables = catalog([20, 20, 30, 30, 40, 40, 60, 9], per_source=5)
    config = SplitConfig.model_validate(
        {"flavour": "source_disjoint", "avoid": [], "force": {f"kind {k:02d}": "train" for k in (0, 2, 4, 6)}}
    )
    config = config.model_copy(
        update={
            "force": config.force
            | {"kind 01": "val_unseen", "kind 03": "test_unseen", "kind 05": "test_unseen", "kind 07": "excluded"}
        }
    )
    check = audit_split(build_split(*tables, config), *tables, config)["test_seen_ratio"]
    assert (check.count, check.total, check.examples) == (
        3,
        5,
        ["kind 00: 5 of 20", "kind 01: 5 of 20", "kind 02: 5 of 30"],
    )
    assert check.note == "off by 2.00 clips on average"
