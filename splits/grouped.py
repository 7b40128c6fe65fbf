"""The flavour `source_disjoint`: no source on two sides of train, val_seen and test_seen."""

from __future__ import annotations

import hashlib
import math

import pandas as pd

from avzsl.config.splits import SplitConfig
from avzsl.contracts.schemas import EXCLUDED

# A source whose clips have classes of several roles belongs to the least seen of them.
PRECEDENCE = {"test_unseen": 0, "val_unseen": 1, "train": 2}

# Sources of one class above which the exact search looks at that many only.
MANY = 5000


def source_disjoint(frame: pd.DataFrame, split: SplitConfig) -> tuple[pd.Series, pd.Series]:
    """Return the subset and the reason of exclusion of every row of `frame` (class_name, source_id, role).

    Each class gets test clips (`test_seen` of it), then validation clips (`val_seen` of the rest; train classes only)
    as whole sources, with the number of clips as near the share as any choice of sources can come. A class of two
    free sources or more has a test clip, of three or more a validation clip; every class keeps one to train on.

    Every class is decided by itself and the seed. Sources that several classes share are not free: those of seen
    classes of one role are trained on; where roles meet, the clips of the more seen role are excluded. So clips
    of a new source in one class move nothing in another.
    """
    subset = pd.Series("test_unseen", index=frame.index, dtype=object)
    reason = pd.Series(None, index=frame.index, dtype=object)
    rank = frame["role"].map(PRECEDENCE)
    by_source = rank.groupby(frame["source_id"])
    owner = by_source.transform("min")
    conflict = rank > owner
    names = {position: role for role, position in PRECEDENCE.items()}
    subset[conflict] = EXCLUDED
    reason[conflict] = "its source also holds a clip of a " + owner[conflict].map(names) + " class"

    rest = frame[~conflict & (frame["role"] != "test_unseen")]
    classes_of_source = rest.groupby("source_id")["class_name"].nunique()
    shared = classes_of_source.index[classes_of_source > 1]
    is_free = ~rest["source_id"].isin(shared)
    for _, members in rest.groupby("class_name"):
        role = members["role"].iloc[0]
        counts = members.loc[is_free[members.index], "source_id"].value_counts()
        free = sorted(
            ((str(source), int(size)) for source, size in counts.items()), key=lambda group: _rank(split.seed, group[0])
        )
        # One source must stay to train on, unless a shared one does already.
        keep = 1 if sum(counts) == len(members) else 0
        test = _pick(free, split.test_seen * len(members), len(free) - keep)
        place = dict.fromkeys(test, "test_seen")
        if role == "train":
            left = len(members) - sum(size for source, size in free if source in test)
            free = [group for group in free if group[0] not in test]
            place |= dict.fromkeys(_pick(free, split.val_seen * left, len(free) - keep), "val_seen")
        subset[members.index] = members["source_id"].map(place).fillna(role)
    return subset, reason


def ratio_errors(frame: pd.DataFrame, split: SplitConfig) -> pd.DataFrame:
    """Return per seen class its clips, its test_seen clips and their distance from the share that was asked for."""
    seen = frame[frame["role"].isin(["train", "val_unseen"]) & (frame["subset"] != EXCLUDED)]
    table = seen.groupby("class_name").agg(
        clips=("subset", "size"), test=("subset", lambda s: (s == "test_seen").sum())
    )
    table["error"] = (table["test"] - split.test_seen * table["clips"]).abs()
    return table


def _rank(seed: int, source: str) -> bytes:
    return hashlib.sha256(f"{seed}\n{source}".encode()).digest()


def _pick(groups: list[tuple[str, int]], target: float, most: int) -> set[str]:
    """Return the groups whose sizes sum up nearest to `target`: one at least and `most` at most, where that is possible.

    Exact, by the sums that the groups can reach. Among equally near choices it takes groups in the given
    (shuffled) order, so that small groups are not preferred.
    """
    if most < 1 or not groups:
        return set()
    largest = max(size for _, size in groups)
    chosen: set[str] = set()
    if len(groups) > MANY:
        # So many that the first can be taken blindly: the others still reach every sum that all of them can.
        for source, size in groups:
            if target - size < 50 * largest:
                break
            chosen.add(source)
            target -= size
        groups = groups[len(chosen) :][:MANY]
        most = len(groups)
    # reach[i] has bit s set if some of the groups from i on sum up to s; sums far above the target are not followed.
    bits = math.ceil(target) + largest + 1
    mask = 2**bits - 1
    reach = [1]
    for _, size in reversed(groups):
        reach.append((reach[-1] | reach[-1] << size) & mask)
    reach.reverse()
    limit = sum(size for _, size in groups)
    if most < len(groups):
        limit -= min(size for _, size in groups)
    sums = [s for s in range(0 if chosen else 1, min(limit + 1, bits)) if reach[0] >> s & 1]
    if not sums:
        return chosen
    left = min(sums, key=lambda s: (abs(s - target), s))
    for i, (source, size) in enumerate(groups):
        if left >= size and reach[i + 1] >> (left - size) & 1:
            chosen.add(source)
            left -= size
    return chosen
