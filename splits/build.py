"""Build a split: class roles, then the subset of every clip. The same builder serves every data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from avzsl.config.splits import SplitConfig
from avzsl.contracts.schemas import EXCLUDED, SPLIT, SPLIT_CLASSES
from avzsl.contracts.tables import write_table
from splits import assign
from splits.labels import load_labels
from splits.overlap import COLUMNS, find_overlap
from splits.roles import Roles, check_roles, draw_roles


@dataclass
class Split:
    """A split: `clips` (SPLIT schema, every clip of the catalogue), `classes` (SPLIT_CLASSES) and notes for people."""

    clips: pd.DataFrame
    classes: pd.DataFrame
    notes: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Return the number of clips per subset."""
        return {str(name): int(number) for name, number in self.clips["subset"].value_counts().items()}


FLAVOURS: dict[str, Callable[[pd.DataFrame, SplitConfig], pd.Series]] = {
    "random": assign.stratified,
}


def build_split(clips: pd.DataFrame, classes: pd.DataFrame, split: SplitConfig, cache: Path | None = None) -> Split:
    """Give every clip of a catalogue its subset and every class its role.

    `clips` and `classes` are the catalogue's tables. `cache` is the folder for downloaded label sets and lists;
    without it only local files are used. Equal input and config give equal tables, whatever the order of the rows.

    Raises ConfigError if the config asks for what this data set cannot give, AvzslError if a list cannot be had.
    """
    roles, notes = class_roles(classes, split, cache)
    check_roles(roles, f"flavour {split.flavour}")
    frame = clips[["clip_id", "class_name"]].sort_values("clip_id", ignore_index=True)
    frame["role"] = frame["class_name"].map({name: role for name, (role, _) in roles.items()})
    frame["subset"] = EXCLUDED
    frame["reason"] = None
    out = frame["role"] == EXCLUDED
    frame.loc[out, "reason"] = frame.loc[out, "class_name"].map(
        {n: f"class excluded: {why}" for n, (_, why) in roles.items()}
    )
    frame.loc[~out, "subset"] = FLAVOURS[split.flavour](frame[~out], split)
    assign.check_subsets(frame["subset"])
    table = pd.DataFrame(
        [(name, role, reason) for name, (role, reason) in sorted(roles.items())],
        columns=["class_name", "role", "reason"],
    )
    return Split(frame[["clip_id", "class_name", "subset", "reason"]], table, notes + _missing_classes(frame))


def class_roles(classes: pd.DataFrame, split: SplitConfig, cache: Path | None) -> tuple[Roles, list[str]]:
    """Return the role of every class, and notes."""
    return draw_roles(classes, split, class_overlap(classes, split, cache))


def class_overlap(classes: pd.DataFrame, split: SplitConfig, cache: Path | None) -> pd.DataFrame:
    """Return the overlap of the classes with the label sets that the split avoids (`find_overlap`)."""
    if not split.avoid:
        return pd.DataFrame(columns=COLUMNS)
    label_sets = {name: load_labels(name, split.overlap.files) for name in split.avoid}
    return find_overlap(classes, label_sets, split.overlap)


def write_split(split: Split, folder: Path) -> None:
    """Write `split.parquet` and `classes.parquet` to `folder`; raises DataError if a table does not fit its schema."""
    write_table(Path(folder) / "split.parquet", split.clips, SPLIT)
    write_table(Path(folder) / "classes.parquet", split.classes, SPLIT_CLASSES)


def _missing_classes(frame: pd.DataFrame) -> list[str]:
    """Say which seen classes are too small to be held out."""
    seen = frame[frame["role"].isin(["train", "val_unseen"])]
    tested = set(frame.loc[frame["subset"] == "test_seen", "class_name"])
    never = sorted(set(seen["class_name"]) - tested)
    return [f"{len(never)} seen classes are too small to have a test clip: {', '.join(never[:5])}"] if never else []
