"""Source-disjoint splits: no source on two sides, ratios as near as sources allow, classes independent."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avzsl.config.splits import SplitConfig
from splits import audit_split, build_split
from splits.grouped import MANY, _pick, source_disjoint

SIDES = ("train", "val_seen", "test_seen")
CONFIG = SplitConfig(flavour="source_disjoint")
ROLES = ("train", "train", "val_unseen", "test_unseen")

rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 25)), min_size=1, max_size=120)


def frame_of(pairs: list[tuple[int, int]]) -> pd.DataFrame:
    """One clip a pair (class, source)."""
    frame = pd.DataFrame(pairs, columns=["class", "source"])
    frame["class_name"] = "class " + frame["class"].astype(str)
    frame["source_id"] = "source " + frame["source"].astype(str)
    frame["role"] = frame["class"].map(dict(enumerate(ROLES)))
    return frame


@settings(max_examples=150, deadline=None)
@given(rows)
def test_no_source_is_on_two_sides(pairs):
    frame = frame_of(pairs)
    subset, reason = source_disjoint(frame, CONFIG)
    sides = frame[subset.isin([*SIDES, "val_unseen", "test_unseen"])].assign(subset=subset)
    stage_2 = sides["subset"].replace({"val_seen": "val", "val_unseen": "train"})
    assert (stage_2.groupby(sides["source_id"]).nunique() <= 1).all()
    assert (reason.notna() == (subset == "excluded")).all()
    # Classes keep their roles, and every seen class something to train on.
    assert set(sides.loc[sides["role"] == "test_unseen", "subset"]) <= {"test_unseen"}
    for role in ("train", "val_unseen"):
        kept = sides[sides["role"] == role]
        assert set(kept.loc[kept["subset"] == role, "class_name"]) == set(kept["class_name"])


@settings(max_examples=60, deadline=None)
@given(rows, st.integers(0, 3), st.integers(1, 9))
def test_clips_of_new_sources_in_one_class_move_no_other_class(pairs, grown, number):
    before = frame_of(pairs)
    after = frame_of([*pairs, *((grown, 100 + k // 2) for k in range(number))])
    first, _ = source_disjoint(before, CONFIG)
    second, _ = source_disjoint(after, CONFIG)
    others = before["class"] != grown
    assert second[: len(before)][others].equals(first[others])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.floats(0.3, 15), st.data())
def test_the_sum_is_as_near_as_any_choice_can_come(sizes, target, data):
    most = data.draw(st.sampled_from([len(sizes), len(sizes) - 1]))
    groups = [(f"g{k}", size) for k, size in enumerate(sizes)]
    chosen = _pick(groups, target, most)
    if most == 0:
        assert not chosen
        return
    assert 1 <= len(chosen) <= most
    best = min(
        abs(sum(choice) - target) for number in range(1, most + 1) for choice in itertools.combinations(sizes, number)
    )
    assert abs(sum(size for name, size in groups if name in chosen) - target) == pytest.approx(best)


def test_a_class_of_very_many_sources():
    groups = [(f"g{k}", 1 + k % 3) for k in range(3 * MANY)]
    chosen = _pick(groups, 1234.4, len(groups) - 1)
    assert sum(size for name, size in groups if name in chosen) == 1234


def test_ucf_groups_and_ratios(ucf):
    config = SplitConfig(
        flavour="source_disjoint",
        classes="ucf",
        filters=("sound",),
        gates={"test_seen_source": 0, "val_seen_source": 0},
    )
    split = build_split(ucf.clips, ucf.classes, config)
    audit_split(split, ucf.clips, ucf.classes, config).enforce()
    seen = split.clips[split.clips["subset"].isin([*SIDES, "val_unseen"])]
    share = (seen["subset"] == "test_seen").groupby(seen["class_name"]).mean()
    assert share.between(0.085, 0.115).all()
    assert len(share) == 42
    again = build_split(ucf.clips.sample(frac=1, random_state=0), ucf.classes, config)
    assert again.clips.equals(split.clips)


def test_activitynet_videos(activitynet):
    gates = {"test_seen_source": 0, "val_seen_source": 0, "val_unseen_source": 0, "test_unseen_source": 0}
    config = SplitConfig(flavour="source_disjoint", classes="activitynet", gates=gates)
    split = build_split(activitynet.clips, activitynet.classes, config)
    audit = audit_split(split, activitynet.clips, activitynet.classes, config)
    audit.enforce()
    assert audit.counts["excluded"] < 20
    assert all("its source also holds a clip of a" in reason for reason in audit.excluded)
