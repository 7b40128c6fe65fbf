"""What a file of facts, lists and a catalogue of one's own make of a split: roles, filters, order, and files that are read."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import ConfigError
from splits import build_split
from splits.facts import Facts, Filter, check_split, chosen_filters, listed_roles
from splits.grouped import _pick, ratio_errors, source_disjoint
from splits.population import cjme, left_out
from splits.roles import _draw_order, draw_roles, redrawn

NAMES = [f"k{k}" for k in range(8)]
ROLES = {"train": NAMES[:4], "val_unseen": NAMES[4:6], "test_unseen": NAMES[6:]}


@pytest.fixture
def made(catalog, tmp_path):
    """Build a split of 8 classes of 20 clips, every fourth of which lasts 4 s, the others 9, with facts of one's own."""
    clips, classes = catalog([20] * 8, names=NAMES)
    clips["start_s"] = 3.0
    clips["end_s"] = [7.0 if k % 4 == 0 else 12.0 for k in range(len(clips))]

    def build(facts: dict[str, Any] | None = None, short: bool = True, **keys: Any):
        (tmp_path / "own.yaml").write_text(yaml.safe_dump({"roles": ROLES} | (facts or {}), sort_keys=False))
        given = {"flavour": "published", "classes": str(tmp_path / "own.yaml"), "avoid": [], "gates": {}, **keys}
        tables = clips if short else clips[clips["end_s"] > 7.0], classes
        return build_split(*tables, SplitConfig.model_validate(given)).clips.set_index("clip_id")

    return build


LATE = {"filters": {"late": {"longer_than_s": 4.0, "after_split": True}}}


def test_a_filter_comes_after_the_split_in_the_published_recipe_alone(made) -> None:
    plain, late = made(), made(LATE)
    gone = late["subset"] == "excluded"
    assert gone.sum() == 40 and set(late.loc[gone, "reason"]) == {"filter late: not longer than 4 s"}
    assert (late.loc[~gone, "subset"] == plain.loc[~gone, "subset"]).all() and late.loc[~gone, "reason"].isna().all()
    for flavour in ("random", "source_disjoint"):
        early = made(LATE, flavour=flavour, filters=["late"])
        alone = made(short=False, flavour=flavour)
        assert early.loc[~gone, "subset"].equals(alone["subset"]) and (early.loc[gone, "subset"] == "excluded").all()
        assert (made(LATE, flavour=flavour)["subset"] != "excluded").all(), "no filter that was not asked for"


def test_each_filter_goes_on_from_what_the_others_left(made) -> None:
    filters = {"one": {"clips": ["k0/001", "k7/002"]}, "two": {"longer_than_s": 4.0}, "three": {"first": {"k0": 3}}}
    found = made({"filters": filters}, force={"k7": "excluded"})
    reason = found.loc[found.index.str.startswith("k0/"), "reason"].fillna("").str.split(":").str[0].tolist()
    # Of k0 the clips 2, 3 and 5 are the first three that the filters before left.
    expected = ["filter two", "filter one", "", "", "filter two", ""]
    assert reason == [*expected, *("filter two" if k % 4 == 0 else "filter three" for k in range(6, 20))]
    assert set(found.loc[found["class_name"] == "k7", "reason"]) == {"class excluded: forced"}


def test_the_input_order_is_that_of_the_published_split_alone(made) -> None:
    order = {"order": {"parts": {"k0/010": "k0", "k0/000": "k0"}}}
    assert not made(order)["subset"].equals(made()["subset"])
    assert made(order, flavour="random")["subset"].equals(made(flavour="random")["subset"])
    assert made()["subset"].equals(made(flavour="random")["subset"])


def test_thirds_by_class(made) -> None:
    counts = made({"recipe": "cjme"})["subset"].value_counts().to_dict()
    assert counts == {"train": 48, "val_seen": 16, "test_seen": 16, "val_unseen": 16, "test_unseen": 16, "excluded": 48}
    assert made({"recipe": "cjme"}, flavour="random")["subset"].value_counts()["train"] == 64


def test_classes_too_small_for_a_test_are_named(catalog) -> None:
    names = [*NAMES, *(f"z{k}" for k in range(6))]
    force = {n: "val_unseen" if n in ("k4", "z5") else "test_unseen" if n == "k5" else "train" for n in names}
    config = SplitConfig.model_validate({"avoid": [], "force": force})
    split = build_split(*catalog([20] * 8 + [1] * 6, names=names), config)
    assert split.notes[-1:] == ["6 seen classes are too small to have a test clip: z0, z1, z2, z3, z4"]


@pytest.mark.parametrize(
    ("flavour", "said"), [("random", "a class of one clip is all training"), ("source_disjoint", "needs three sources")]
)
def test_what_a_split_needs_is_said(catalog, flavour, said) -> None:
    config = SplitConfig.model_validate({"avoid": [], "flavour": flavour})
    with pytest.raises(ConfigError, match=f"leaves val_seen without a clip; .*{said}"):
        build_split(*catalog([2] * 4 if flavour == "source_disjoint" else [1] * 4, per_source=1), config)


def test_roles_by_a_list() -> None:
    facts = Facts.model_validate(
        {"roles": {"train": ["b", "a"]}, "drawn": {"from": 6, "test_unseen": 4, "seed": 1}, "dropped": {"v": ["a"]}}
    )
    config = SplitConfig.model_validate({"avoid": [], "classes": "x"})
    further = [*"cdefgh"]
    roles = listed_roles(facts, config, [*"hgfedcba"])
    test = {further[k] for k in np.random.RandomState(1).permutation(6)[:4]}
    assert {name for name, (role, _) in roles.items() if role == "test_unseen"} == test
    assert [roles[name][0] for name in "ab"] == ["train", "train"]
    assert roles["a"][1] == "listed in x" and roles["c"][1] == "drawn with seed 1"
    keys = {"variant": "v", "force": {"b": "val_unseen"}}
    changed = listed_roles(facts, config.model_copy(update=keys), [*"abcdefgh"])
    assert changed["a"] == ("excluded", "dropped in variant v") and changed["b"] == ("val_unseen", "forced")
    # Whatever the order of the catalogue, the same classes are drawn anew.
    listed = {
        n: (r, "x") for n, r in zip("abcdefgh", ["train"] + ["test_unseen"] * 4 + ["val_unseen"] * 3, strict=True)
    }
    assert redrawn(listed, config) == redrawn(dict(reversed(listed.items())), config)
    for change, names, said in (
        ({"force": {"z": "train"}}, "abcdefgh", "no class 'z'"), ({}, "acdefgh", "no class 'b'"), ({}, "abcdefg", "over 6 further classes, the data set has 5"),
        ({"variant": "w"}, "abcdefgh", "no variant 'w'; known: main, v"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            listed_roles(facts, config.model_copy(update=change), [*names])
    with pytest.raises(ConfigError, match="'a' is listed twice"):
        listed_roles(Facts.model_validate({"roles": {"train": ["a"], "val_unseen": ["a"]}}), config, ["a"])


def test_names_in_a_configuration(tmp_path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump({"roles": ROLES, "dropped": {"v": ["k0"]}, "filters": {"f": {}, "g": {}}}))
    plain = {"flavour": "published", "classes": str(own), "avoid": []}
    for fine in (
        {},
        {"variant": "v"},
        {"filters": ["f"]},
        {"avoid": ["kinetics400"]},
        {"avoid": ["mine"], "overlap": {"files": {"mine": "x"}}},
    ):
        check_split("w", SplitConfig.model_validate(plain | fine))
    for bad, said in (
        ({"variant": "w"}, "w.variant: there is no 'w'; known: main, v"), ({"filters": ["h"]}, "w.filters: no filter 'h'; known: f, g"),
        ({"avoid": ["mine"]}, "w.avoid: unknown label set 'mine'"), ({"classes": "nobody"}, "neither a known benchmark \\(" + "activitynet, audioset-zsl, audioset-zsl-disjoint, ucf, vggsound\\)"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            check_split("w", SplitConfig.model_validate(plain | bad))
    facts = Facts.model_validate({"roles": ROLES, "filters": {"f": {}, "g": {}}})
    for keys, chosen in (
        ({}, "fg"),
        ({"filters": ["g"]}, "g"),
        ({"filters": []}, ""),
        ({"flavour": "random"}, ""),
        ({"flavour": "random", "filters": ["f"]}, "f"),
    ):
        assert [*chosen_filters(facts, SplitConfig.model_validate(plain | keys))] == [*chosen]


def test_how_long_a_clip_lasts_is_its_end_less_its_start() -> None:
    frame = pd.DataFrame(
        {
            "clip_id": ["a", "b"],
            "class_name": "k",
            "start_s": [3.0, 3.0],
            "end_s": [4.5, 6.0],
            "official_subset": None,
            "role": "train",
        }
    )
    reason = left_out(frame, "f", Filter(longer_than_s=2.0), SplitConfig.model_validate({"avoid": []}), None, [])
    assert reason.dropna().to_dict() == {0: "filter f: not longer than 2 s"}


def test_each_class_is_shuffled_by_seed_and_name() -> None:
    frame = pd.DataFrame({"class_name": ["b"] * 10 + ["a"] * 10, "official_subset": None, "role": "train"})
    config = SplitConfig.model_validate({"avoid": [], "seed": 7})
    subset = cjme(frame, config)
    for name, first in (("b", 0), ("a", 10)):
        digest = hashlib.sha256(f"7\n{name}".encode()).digest()[:4]
        order = first + np.random.RandomState(int.from_bytes(digest, "little")).permutation(10)
        assert [sorted(subset.index[(subset == s) & (frame["class_name"] == name)]) for s in ("train", "val_seen", "test_seen")] == [
            sorted(order[:6]), sorted(order[6:8]), sorted(order[8:]),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "target", "most", "picked"),
    [
        ([1, 3], 2.0, 2, [0]), ([3, 1], 2.0, 2, [1]),  # of two that are as near, the smaller
        ([1, 9], 6.0, 2, [1]), ([5], 0.5, 1, [0]), ([1, 5], 6.0, 1, [1]), ([1, 5], 9.0, 1, [1]), ([1, 5], 9.0, 2, [0, 1]), ([2, 2, 2], 3.9, 3, [0, 1]), ([4, 4], 3.0, 0, []), ([], 3.0, 1, []),
        ([7, 2, 2], 4.0, 2, [1, 2]), ([1, 1, 1, 1], 2.4, 3, [0, 1]),
    ],
)  # fmt: skip
def test_sources_whose_sum_is_nearest(sizes, target, most, picked) -> None:
    assert _pick([(str(k), size) for k, size in enumerate(sizes)], target, most) == {str(k) for k in picked}


def test_sources_are_taken_in_the_order_of_their_hash_and_one_stays() -> None:
    rows = (
        [("a", f"s{k}", "train") for k in range(10)]
        + [("b", f"t{k}", "val_unseen") for k in range(2)]
        + [("c", f"u{k}", "train") for k in range(3)]
    )
    frame = pd.DataFrame(rows, columns=["class_name", "source_id", "role"])
    order = sorted((f"s{k}" for k in range(10)), key=lambda s: hashlib.sha256(f"5\n{s}".encode()).digest())
    config = SplitConfig.model_validate(
        {"flavour": "source_disjoint", "avoid": [], "seed": 5, "test_seen": 0.2, "val_seen": 0.25}
    )
    subset, _ = source_disjoint(frame, config)
    of = {
        part: set(frame.loc[(subset == part) & (frame["class_name"] == "a"), "source_id"])
        for part in ("test_seen", "val_seen")
    }
    assert of == {"test_seen": set(order[:2]), "val_seen": set(order[2:4])}
    # Where the shares ask for nearly all, a source stays to train on.
    greedy = config.model_copy(update={"test_seen": 0.8, "val_seen": 0.8})
    subset, _ = source_disjoint(frame, greedy)
    counts = pd.DataFrame({"c": frame["class_name"], "s": subset}).value_counts().to_dict()
    assert counts["b", "test_seen"] == counts["b", "val_unseen"] == 1
    assert counts["c", "test_seen"] == 2 and counts["c", "train"] == 1 and ("c", "val_seen") not in counts
    assert counts["a", "test_seen"] == 8 and counts["a", "val_seen"] == counts["a", "train"] == 1


def test_distances_from_a_share() -> None:
    rows = (
        [("a", "train", "train")] * 8
        + [("a", "train", "test_seen")] * 4
        + [("a", "train", "excluded")] * 5
        + [("b", "val_unseen", "val_unseen")] * 10
    )
    rows += [("c", "test_unseen", "test_unseen")] * 3
    frame = pd.DataFrame(rows, columns=["class_name", "role", "subset"])
    table = ratio_errors(frame, SplitConfig.model_validate({"avoid": [], "test_seen": 0.25}))
    assert table[["clips", "test", "error"]].to_numpy().tolist() == [[12, 4, 1.0], [10, 0, 2.5]]


def test_an_empty_category_and_names_in_any_order() -> None:
    classes = pd.DataFrame({"class_name": [*"hgfedcba"], "category": None, "clips": 5})
    nothing = pd.DataFrame(columns=["class_name", "label_set", "label", "kind"])
    config = SplitConfig.model_validate({"avoid": [], "seed": 3})
    assert draw_roles(classes, config, nothing) == draw_roles(classes[::-1], config, nothing)
    order = [[*"abcdefgh"][k] for k in np.random.RandomState(3).permutation(8)]
    roles, _ = draw_roles(classes, config, nothing)
    assert [roles[name][0] for name in order[:4]] == ["test_unseen"] * 2 + ["val_unseen"] * 2


def test_sources_that_several_classes_share() -> None:
    """They are trained on; where roles meet they are the less seen class's, and no class needs to keep another to train on."""
    rows = [
        ("a", "ab", "train"),
        ("b", "ab", "train"),
        ("a", "av", "train"),
        ("v", "av", "val_unseen"),
        ("v", "vu", "val_unseen"),
        ("u", "vu", "test_unseen"),
    ]
    rows += (
        [("a", f"a{k}", "train") for k in range(2)]
        + [("b", f"b{k}", "train") for k in range(3)]
        + [("v", f"v{k}", "val_unseen") for k in range(2)]
    )
    rows += [("u", f"u{k}", "test_unseen") for k in range(3)]
    frame = pd.DataFrame(rows, columns=["class_name", "source_id", "role"])
    config = SplitConfig.model_validate({"flavour": "source_disjoint", "avoid": [], "test_seen": 0.9, "val_seen": 0.9})
    subset, reason = source_disjoint(frame, config)
    assert subset.tolist()[:3] == ["train", "train", "excluded"] and subset.tolist()[4:6] == ["excluded", "test_unseen"]
    assert reason.dropna().to_dict() == {
        2: "its source also holds a clip of a val_unseen class", 4: "its source also holds a clip of a test_unseen class",
    }  # fmt: skip
    # Of v what is left are three sources of its own, of which one stays; a and b have the shared one to train on.
    assert subset.value_counts().to_dict() == {
        "train": 2,
        "excluded": 2,
        "val_unseen": 1,
        "test_unseen": 4,
        "test_seen": 7,
    }


@pytest.mark.parametrize("seed", range(3))
def test_categories_are_dealt_in_turn(seed) -> None:
    """The k-th of n comes at (k + 1/2) / n: of four and two at 1/8, 1/4, 3/8, 5/8, 3/4 and 7/8."""
    candidates = pd.DataFrame({"class_name": [*"abcdef"], "category": [*"xyxyxx"]})
    order = _draw_order(candidates, SplitConfig.model_validate({"seed": seed, "balance": "category"}))
    category = dict(zip("abcdef", "xyxyxx", strict=True))
    assert "".join(category[name] for name in order) == "xyxxyx"
    drawn = [[*"abcdef"][k] for k in np.random.RandomState(seed).permutation(6)]
    for own in "xy":
        assert [n for n in order if category[n] == own] == [n for n in drawn if category[n] == own]
    plain = _draw_order(candidates, SplitConfig.model_validate({"seed": seed}))
    assert plain == drawn
