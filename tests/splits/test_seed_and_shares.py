"""The split's seed permutes classes and clips, and each share is the one that was asked for."""

from __future__ import annotations

import pytest

from avzsl.config.splits import SplitConfig
from splits import build_split

SIZES = [40] * 20


def roles(split) -> dict[str, str]:
    return dict(split.classes[["class_name", "role"]].to_numpy().tolist())


def test_each_seed_draws_other_classes(catalog):
    clips, classes = catalog(SIZES)
    drawn = [roles(build_split(clips, classes, SplitConfig(seed=seed))) for seed in range(4)]
    assert len({tuple(sorted(d.items())) for d in drawn}) == 4
    # Not by name either: the unseen classes are no block of the sorted names.
    for found in drawn:
        unseen = [number for number, name in enumerate(sorted(found)) if found[name] == "test_unseen"]
        assert unseen[-1] - unseen[0] > 3
    # Over many seeds, every class is unseen at some time.
    more = [roles(build_split(clips, classes, SplitConfig(seed=seed))) for seed in range(40)]
    assert {name for d in more for name, role in d.items() if role == "test_unseen"} == set(drawn[0])


@pytest.mark.parametrize("flavour", ["random", "source_disjoint"])
@pytest.mark.parametrize(("test_seen", "val_seen"), [(0.1, 0.1), (0.1, 0.3), (0.25, 0.1), (0.2, 0.4)])
def test_shares_of_clips(catalog, flavour, test_seen, val_seen):
    clips, classes = catalog(SIZES, per_source=1)
    split = build_split(clips, classes, SplitConfig(flavour=flavour, test_seen=test_seen, val_seen=val_seen))
    counts, of = split.counts(), roles(split)
    seen = 40 * sum(role in {"train", "val_unseen"} for role in of.values())
    train = 40 * sum(role == "train" for role in of.values())
    assert counts["test_seen"] == pytest.approx(test_seen * seen, abs=1)
    left = train * (1 - test_seen)
    assert counts["val_seen"] == pytest.approx(val_seen * left, abs=20 if flavour == "source_disjoint" else 8)
    assert counts["train"] + counts["val_seen"] == pytest.approx(left, abs=8)


@pytest.mark.parametrize(("test_unseen", "val_unseen"), [(0.2, 0.2), (0.1, 0.3), (0.4, 0.05)])
def test_shares_of_classes(catalog, test_unseen, val_unseen):
    split = build_split(*catalog(SIZES), SplitConfig(test_unseen=test_unseen, val_unseen=val_unseen))
    found = list(roles(split).values())
    assert (found.count("test_unseen"), found.count("val_unseen")) == (20 * test_unseen, 20 * val_unseen)
