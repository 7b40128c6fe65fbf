"""From class roles to the subset of every clip: the AVCA recipe (section 4.1, docs/splits.md)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import ConfigError
from splits.stratified import stratified_split


def stratified(frame: pd.DataFrame, split: SplitConfig) -> pd.Series:
    """Return the subset of every row of `frame` (clip_id, class_name, role), in its order.

    Seen clips (train and val_unseen classes) are split 0.9/0.1 into what is trained on in the end and test_seen;
    the first part's train classes are split 0.9/0.1 again into train and val_seen, in the shuffled order that the
    first split left them in. So test_seen also holds a tenth of the val_unseen classes, and test_unseen is every clip
    of its classes. The order of the rows matters: it is what the seed shuffles.
    """
    subset = np.full(len(frame), "test_unseen", dtype=object)
    role = frame["role"].to_numpy()
    names = frame["class_name"].to_numpy()
    seen = np.flatnonzero(role != "test_unseen")
    kept, held_out = stratified_split(names[seen], split.test_seen, split.seed)
    subset[seen[held_out]] = "test_seen"
    kept = seen[kept]
    subset[kept[role[kept] == "val_unseen"]] = "val_unseen"
    first_stage = kept[role[kept] == "train"]
    train, validation = stratified_split(names[first_stage], split.val_seen, split.seed)
    subset[first_stage[train]] = "train"
    subset[first_stage[validation]] = "val_seen"
    return pd.Series(subset, index=frame.index, dtype=object)


def check_subsets(subsets: pd.Series, split: SplitConfig) -> None:
    """Raise ConfigError if a subset that a benchmark cannot do without is empty."""
    counts = subsets.value_counts()
    need = (
        "one train class needs three sources that no other class has, another seen class two"
        if split.flavour == "source_disjoint"
        else "a class of one clip is all training: one train class needs two clips, another seen class as well"
    )
    for name in ("train", "val_seen", "val_unseen", "test_seen", "test_unseen"):
        if not counts.get(name, 0):
            raise ConfigError(f"the split leaves {name} without a clip; {need}")
