"""Which clips the published benchmarks were made of, and in which order."""

from __future__ import annotations

import bisect
import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import ConfigError
from splits.facts import Filter, Order
from splits.lists import read_ids


def left_out(
    frame: pd.DataFrame, name: str, rule: Filter, split: SplitConfig, cache: Path | None, notes: list[str]
) -> pd.Series:
    """Return the reason why `rule` leaves out each row of `frame`, null where it does not.

    `frame` holds the CLIPS columns and `role`, sorted by clip_id. What should be said to people goes to `notes`.
    Raises ConfigError if the rule needs lists that the split does not give.
    """
    reason = pd.Series(None, index=frame.index, dtype=object)

    def drop(mask: pd.Series, why: str) -> None:
        reason[mask & reason.isna()] = f"filter {name}: {why}"

    drop(frame["clip_id"].isin(rule.clips), "lost in the released extraction" if rule.first else "named")
    for class_name, number in rule.first.items():
        tail = frame.index[frame["class_name"] == class_name][number:]
        drop(pd.Series(frame.index.isin(tail), index=frame.index), "lost in the released extraction")
    if rule.longer_than_s is not None:
        seconds = frame["end_s"].astype(float) - frame["start_s"].astype(float)
        short = seconds <= rule.longer_than_s
        if split.lists is not None:
            short &= ~frame["clip_id"].isin(read_ids(split.lists, cache))
        drop(short, f"not longer than {rule.longer_than_s:g} s")
    if rule.official_subset is not None:
        asked = frame["role"].isin(rule.roles) if rule.roles else pd.Series(True, index=frame.index)
        drop(asked & (frame["official_subset"] != rule.official_subset), f"not official {rule.official_subset}")
    if rule.listed:
        if split.lists is not None:
            ids = read_ids(split.lists, cache)
            drop(~frame["clip_id"].isin(ids), "not in the released lists")
        elif rule.listed is True:
            others = [other for other in (split.filters or ()) if other != name]
            raise ConfigError(
                f"filter {name!r} needs the clips that the published benchmark had: give `lists` (the released lists, "
                f"or a text file of clip ids), or leave it out with `filters: [{', '.join(others)}]`"
            )
        else:
            _draw(frame, rule.sizes, split, drop)
            notes.append(f"filter {name}: drawn with seed {split.seed}; the released population needs `lists`")
    return reason


def _draw(
    frame: pd.DataFrame, sizes: dict[str, int], split: SplitConfig, drop: Callable[[pd.Series, str], None]
) -> None:
    """Keep `sizes[class]` clips of each class, official subsets in the proportion in which the catalogue has them."""
    mask = pd.Series(False, index=frame.index)
    for class_name, members in frame.groupby("class_name"):
        wanted = sizes.get(str(class_name), len(members))
        rng = generator(split.seed, str(class_name))
        evaluation = members.index[members["official_subset"] == "eval"].to_numpy()
        others = members.index[members["official_subset"] != "eval"].to_numpy()
        # All evaluation segments end in the test, so no more of them than it holds.
        room = cjme_sizes(wanted)[2]
        share = round(len(evaluation) * wanted / len(members))
        from_evaluation = min(max(share, wanted - len(others)), len(evaluation), room)
        from_others = min(wanted - from_evaluation, len(others))
        kept = [*rng.permutation(evaluation)[:from_evaluation], *rng.permutation(others)[:from_others]]
        mask[members.index.difference(pd.Index(kept))] = True
    drop(mask, "stands for a clip that was no longer available")


def cjme_sizes(clips: int) -> tuple[int, int, int]:
    """Return how many of a class's clips are trn, val and tst in AudioSetZSL (docs/splits.md).

    60 % rounded up, half of the rest rounded down, what is left: exact for all 33 published classes.
    """
    train = -(-clips * 3 // 5)
    validation = (clips - train) // 2
    return train, validation, clips - train - validation


def cjme(frame: pd.DataFrame, split: SplitConfig) -> pd.Series:
    """Return the subset of every row under CJME's rule; the evaluation segments are all test.

    The published assignment is random with an unknown seed; its numbers are the rule's. Lists of all three kinds
    exist for unseen classes too: their trn clips are nobody's (null), val and tst are val_unseen and test_unseen.
    """
    subset = pd.Series(None, index=frame.index, dtype=object)
    for class_name, members in frame.groupby("class_name"):
        seen = members["role"].iloc[0] == "train"
        train, validation, _ = cjme_sizes(len(members))
        rng = generator(split.seed, str(class_name))
        evaluation = members.index[members["official_subset"] == "eval"].to_numpy()
        order = [*rng.permutation(members.index.difference(pd.Index(evaluation)).to_numpy()), *evaluation]
        subset[order[:train]] = "train" if seen else None
        subset[order[train : train + validation]] = "val_seen" if seen else "val_unseen"
        subset[order[train + validation :]] = "test_seen" if seen else "test_unseen"
    return subset


def generator(seed: int, name: str) -> np.random.RandomState:
    """Return a generator of its own for one class, so that no class depends on another."""
    digest = hashlib.sha256(f"{seed}\n{name}".encode()).digest()
    return np.random.RandomState(int.from_bytes(digest[:4], "little"))


def input_order(frame: pd.DataFrame, order: Order | str) -> pd.DataFrame:
    """Return `frame` in the input order of the published split, which its seed shuffled."""
    if not isinstance(order, Order):
        return frame.sort_values("clip_id")
    by_class = frame.sort_values(["class_name", "clip_id"])
    keys = list(zip(by_class["class_name"], by_class["clip_id"], strict=True))
    by_name = sorted((class_name, clip_id) for clip_id, class_name in order.parts.items())
    # The first part begins with the first clip of all, also in a population that holds an earlier one.
    starts = [0, *(bisect.bisect_left(keys, key) for key in by_name[1:])]
    # A part may be empty in a population that is not the published one.
    bounds = dict(zip(by_name, itertools.pairwise([*starts, len(by_class)]), strict=True))
    parts = [bounds[class_name, clip_id] for clip_id, class_name in order.parts.items()]
    return pd.concat([by_class.iloc[start:end].sort_values("clip_id") for start, end in parts])
