"""The random flavour: roles, ratios, tiny data sets."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import AvzslError, ConfigError
from avzsl.contracts.schemas import SPLIT, SPLIT_CLASSES
from avzsl.contracts.tables import read_table
from splits import audit_split, build_split, write_audit, write_split


def test_ratios_are_the_papers(catalog):
    clips, classes = catalog([100] * 20)
    split = build_split(clips, classes, SplitConfig())
    roles = split.classes["role"].value_counts()
    assert dict(roles) == {"train": 12, "val_unseen": 4, "test_unseen": 4}
    assert split.counts() == {"train": 972, "val_seen": 108, "val_unseen": 360, "test_seen": 160, "test_unseen": 400}


def test_equal_input_gives_equal_tables_in_any_order(catalog, tmp_path):
    clips, classes = catalog([7, 9, 11, 5, 8, 6, 4])
    for name, c, k in (("a", clips, classes), ("b", clips[::-1], classes.sample(frac=1, random_state=1))):
        write_split(build_split(c, k, SplitConfig(seed=3)), tmp_path / name)
    for file in ("split.parquet", "classes.parquet"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert set(read_table(tmp_path / "a" / "split.parquet", SPLIT)["clip_id"]) == set(clips["clip_id"])
    assert len(read_table(tmp_path / "a" / "classes.parquet", SPLIT_CLASSES)) == 7


def test_seeds_differ(catalog):
    clips, classes = catalog([20] * 10)
    one, two = (build_split(clips, classes, SplitConfig(seed=seed)) for seed in (0, 1))
    assert not one.clips["subset"].equals(two.clips["subset"])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=0, max_size=12),
    st.integers(0, 5),
    st.sampled_from(["random", "source_disjoint"]),
)
def test_any_data_set_is_split_or_refused_with_a_reason(catalog, sizes, seed, flavour):
    clips, classes = catalog(sizes)
    config = SplitConfig(seed=seed, flavour=flavour)
    try:
        split = build_split(clips, classes, config)
    except ConfigError as error:
        assert len(str(error)) > 20
        return
    # Subsets partition the catalogue, and unseen classes are never trained on.
    assert sorted(split.clips["clip_id"]) == sorted(clips["clip_id"])
    subsets = split.clips.groupby("subset")["class_name"].agg(set)
    assert not subsets["test_unseen"] & (subsets["train"] | subsets["val_seen"] | subsets["val_unseen"])
    assert not subsets["test_unseen"] & subsets["test_seen"]
    assert not subsets["val_unseen"] & subsets["train"]
    # Every seen class keeps a clip to train on.
    roles = split.classes.set_index("class_name")["role"]
    assert set(roles.index[roles == "train"]) <= subsets["train"]
    assert set(roles.index[roles == "val_unseen"]) <= subsets["val_unseen"]
    audit_split(split, clips, classes, config).enforce()


@pytest.mark.parametrize(
    ("sizes", "words"), [([5, 5], "at least 3 classes"), ([1, 1, 1], "without a clip"), ([], "at least 3 classes")]
)
def test_too_little_data_is_said_plainly(catalog, sizes, words):
    with pytest.raises(ConfigError, match=words):
        build_split(*catalog(sizes), SplitConfig())


def test_overlapping_classes_are_seen(catalog):
    names = ["archery", "Crawling Babies", "zap", "quux", "plugh", "harmonica"]
    split = build_split(*catalog([10] * 6, names=names), SplitConfig(seed=1))
    roles = split.classes.set_index("class_name")
    for name in ("archery", "Crawling Babies", "harmonica"):
        assert roles.loc[name, "role"] == "train"
        assert "kinetics400" in roles.loc[name, "reason"]


def test_too_few_classes_that_may_be_unseen(catalog):
    clips, classes = catalog([10] * 4, names=["archery", "bowling", "clapping", "zap"])
    with pytest.raises(ConfigError, match="3 overlap with kinetics400"):
        build_split(clips, classes, SplitConfig())
    assert build_split(clips, classes, SplitConfig(avoid=())).counts()["test_unseen"] == 10


def test_fewer_candidates_than_asked_for_is_noted(catalog):
    names = ["archery", "bowling", "clapping", "crying", "yawning", "zap", "quux", *[f"k{i}" for i in range(3)]]
    config = SplitConfig(val_unseen=0.4, test_unseen=0.4)
    split = build_split(*catalog([10] * 10, names=names), config)
    assert any("only 5 may be unseen" in note for note in split.notes)
    # What there is is shared as what was asked for: 6 and 2 of 8 become 4 and 1 of 5.
    config = SplitConfig(val_unseen=0.2, test_unseen=0.6)
    roles = build_split(*catalog([10] * 10, names=names), config).classes["role"].value_counts()
    assert (roles["test_unseen"], roles["val_unseen"]) == (4, 1)


def test_forced_roles_win(catalog):
    clips, classes = catalog([10] * 5, names=["archery", "b1", "c2", "d3", "e4"])
    config = SplitConfig(force={"archery": "test_unseen", "b1": "excluded", "c2": "val_unseen"})
    roles = build_split(clips, classes, config).classes.set_index("class_name")["role"]
    assert dict(roles) == {"archery": "test_unseen", "b1": "excluded", "c2": "val_unseen", "d3": "train", "e4": "train"}
    with pytest.raises(ConfigError, match="no class 'nobody'"):
        build_split(clips, classes, SplitConfig(force={"nobody": "train"}))


def test_categories_are_dealt_evenly(catalog):
    clips, classes = catalog([4] * 40)
    classes["category"] = ["a"] * 20 + ["b"] * 15 + ["c"] * 5
    split = build_split(clips, classes, SplitConfig(balance="category"))
    unseen = split.classes[split.classes["role"] == "test_unseen"].merge(classes, on="class_name")
    assert dict(unseen["category"].value_counts()) == {"a": 4, "b": 3, "c": 1}


def test_a_gate_fails_with_the_check_and_examples(catalog, tmp_path):
    clips, classes = catalog([10] * 6)
    config = SplitConfig(gates={"test_seen_source": 0})
    audit = audit_split(build_split(clips, classes, config), clips, classes, config)
    write_audit(audit, tmp_path)
    assert "FAILED" in (tmp_path / "audit.md").read_text()
    with pytest.raises(AvzslError, match=r"test_seen_source: [1-9] of"):
        audit.enforce()
    with pytest.raises(ConfigError, match=r"gates\.typo: unknown check"):
        audit_split(build_split(clips, classes, config), clips, classes, SplitConfig(gates={"typo": 0}))


def test_200_000_clips_take_seconds(catalog):
    clips, classes = catalog([1000] * 200)
    for flavour in ("random", "source_disjoint"):
        started = time.process_time()
        build_split(clips, classes, SplitConfig(flavour=flavour))
        assert time.process_time() - started < 5
