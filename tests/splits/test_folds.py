"""`folds: K`: other unseen classes every time, under the same rules."""

from __future__ import annotations

import pandas as pd
import pytest

from avzsl.config.load import SHIPPED, load_project
from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import ConfigError
from splits import audit_split, build_split
from splits.facts import load_facts


def catalogue() -> tuple[pd.DataFrame, pd.DataFrame]:
    """UCF's 51 classes of 6 groups, 2 clips each."""
    names = [name for members in load_facts("ucf").roles.values() for name in members]
    clips = pd.DataFrame(
        [(f"{n} {g} {i}", n, f"{n} {g}") for n in names for g in range(6) for i in range(2)],
        columns=["clip_id", "class_name", "source_id"],
    ).assign(start_s=None, end_s=None, official_subset=None)
    classes = pd.DataFrame({"class_name": names, "phrase": names, "category": None, "clips": 12})
    return clips, classes


def roles_of(classes: pd.DataFrame, role: str) -> set[str]:
    return set(classes.loc[classes["role"] == role, "class_name"])


def test_classes_are_drawn_among_the_unseen_ones_and_sources_stay_apart() -> None:
    clips, classes = catalogue()
    settings = SplitConfig(flavour="source_disjoint", classes="ucf", avoid=(), folds=4, force={"Typing": "test_unseen"})
    known, tested = load_facts("ucf").roles, []
    for fold in settings.drawn():
        split = build_split(clips, classes, fold)
        audit = audit_split(split, clips, classes, fold)
        audit.enforce()
        assert roles_of(split.classes, "train") == set(known["train"])
        unseen = roles_of(split.classes, "val_unseen"), roles_of(split.classes, "test_unseen")
        assert [len(part) for part in unseen] == [12, 9]
        assert unseen[0] | unseen[1] == set(known["val_unseen"]) | set(known["test_unseen"])
        assert "Typing" in unseen[1], "a forced class stays what it is"
        for name in ("class_disjointness", "test_seen_source", "val_seen_source", "test_unseen_source"):
            assert audit[name].count == 0
        assert "published_counts" not in [check.name for check in audit.checks]
        tested.append(frozenset(unseen[1]))
    assert len(set(tested)) == 4
    again = build_split(clips, classes, settings.drawn()[1])
    assert roles_of(again.classes, "test_unseen") == tested[1]


def test_drawn_classes_are_drawn_with_another_seed_each() -> None:
    clips, classes = catalogue()
    settings = SplitConfig(flavour="random", avoid=(), folds=3)
    tested = [frozenset(roles_of(build_split(clips, classes, f).classes, "test_unseen")) for f in settings.drawn()]
    assert len(set(tested)) == 3
    assert {len(names) for names in tested} == {10}


def test_the_benchmark_ucf_folds_is_ten_class_splits_of_one() -> None:
    project = load_project(SHIPPED / "config.yaml", {"benchmarks": "ucf-folds"})
    assert list(project.benchmarks) == [f"ucf-folds-{k}" for k in range(1, 11)]
    assert {(b.dataset, b.group) for b in project.benchmarks.values()} == {("ucf", "ucf-folds")}
    splits = project.dataset("ucf").splits
    assert [splits[b.split].seed for b in project.benchmarks.values()] == list(range(42, 52))
    assert {splits[b.split].flavour for b in project.benchmarks.values()} == {"source_disjoint"}


def test_a_data_set_and_a_split_of_it_name_a_benchmark() -> None:
    project = load_project(SHIPPED / "config.yaml", {"benchmarks": "ucf-published, audioset-zsl"})
    assert [(b.dataset, b.split) for b in project.benchmarks.values()] == [
        ("ucf", "published"), ("audioset-zsl", "disjoint"),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="ucf-nothing"):
        load_project(SHIPPED / "config.yaml", {"benchmarks": "ucf-nothing"})


def test_a_flavour_with_classes_of_its_own_has_no_folds() -> None:
    with pytest.raises(ValueError, match="has its own"):
        SplitConfig(flavour="published", classes="ucf", folds=3)
