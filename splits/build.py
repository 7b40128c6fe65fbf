"""Build a split: class roles, then the subset of every clip. The same builder serves every data set."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from avzsl.config.splits import SplitConfig
from avzsl.contracts.schemas import EXCLUDED, SPLIT, SPLIT_CLASSES
from avzsl.contracts.tables import write_table
from splits import assign
from splits.facts import Facts, chosen_filters, listed_roles, load_facts
from splits.grouped import source_disjoint
from splits.imported import imported
from splits.labels import load_labels
from splits.overlap import COLUMNS as OVERLAP
from splits.overlap import find_overlap
from splits.population import cjme, input_order, left_out
from splits.roles import Roles, check_roles, draw_roles, redrawn

COLUMNS = ["clip_id", "class_name", "source_id", "start_s", "end_s", "official_subset"]


@dataclass
class Split:
    """A split: `clips` (SPLIT schema, every clip of the catalogue), `classes` (SPLIT_CLASSES) and notes for people."""

    clips: pd.DataFrame
    classes: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    # Differences between imported lists and the catalogue.
    findings: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Return the number of clips per subset."""
        return {str(name): int(number) for name, number in self.clips["subset"].value_counts().items()}


def build_split(clips: pd.DataFrame, classes: pd.DataFrame, split: SplitConfig, cache: Path | None = None) -> Split:
    """Give every clip of a catalogue its subset and every class its role.

    `clips` and `classes` are the catalogue's tables. `cache` is the folder for downloaded label sets and lists;
    without it only local files are used. Equal input and config give equal tables, whatever the order of the rows.

    Raises ConfigError if the config asks for what this data set cannot give, AvzslError if a list cannot be had.
    """
    frame = clips[COLUMNS].sort_values("clip_id", ignore_index=True)
    frame["subset"], frame["reason"] = EXCLUDED, None
    notes: list[str] = []
    findings: list[str] = []
    if split.flavour == "imported":
        roles, findings = imported(frame, list(classes["class_name"]), split, cache)
    else:
        facts = load_facts(split.classes) if split.classes is not None else None
        roles, notes = _roles(classes, facts, split, cache)
        frame["role"] = frame["class_name"].map({name: role for name, (role, _) in roles.items()})
        if not _is_cjme(facts, split):
            check_roles(roles, f"flavour {split.flavour}")
        notes += _assign(frame, facts, split, cache)
        out = frame["role"] == EXCLUDED
        why = {name: f"class excluded: {reason}" for name, (_, reason) in roles.items()}
        frame.loc[out, "reason"] = frame.loc[out, "class_name"].map(why)
        assign.check_subsets(frame["subset"], split)
        notes += _missing_classes(frame)
    table = pd.DataFrame(
        [(name, role, reason) for name, (role, reason) in sorted(roles.items())],
        columns=["class_name", "role", "reason"],
    )
    return Split(frame[["clip_id", "class_name", "subset", "reason"]], table, notes, findings)


def _roles(
    classes: pd.DataFrame, facts: Facts | None, split: SplitConfig, cache: Path | None
) -> tuple[Roles, list[str]]:
    if facts is None:
        return draw_roles(classes, split, class_overlap(classes, split, cache))
    roles = listed_roles(facts, split, list(classes["class_name"]))
    return (redrawn(roles, split) if split.fold else roles), []


def _is_cjme(facts: Facts | None, split: SplitConfig) -> bool:
    """Whether CJME's own rule applies, the one without validation classes of their own."""
    return split.flavour == "published" and facts is not None and facts.recipe == "cjme"


def _assign(frame: pd.DataFrame, facts: Facts | None, split: SplitConfig, cache: Path | None) -> list[str]:
    """Fill `subset` and `reason` of the clips whose class takes part; returns notes."""
    notes: list[str] = []
    filters = chosen_filters(facts, split)
    # The released order of filter and split is part of the published recipe only.
    late = {name: rule for name, rule in filters.items() if rule.after_split and split.flavour == "published"}
    for name, rule in filters.items():
        if name not in late:
            part = frame[(frame["role"] != EXCLUDED) & frame["reason"].isna()]
            frame.loc[part.index, "reason"] = left_out(part, name, rule, split, cache, notes)
    part = frame[(frame["role"] != EXCLUDED) & frame["reason"].isna()]
    if split.flavour == "source_disjoint":
        subset, reason = source_disjoint(part, split)
        frame.loc[part.index, "reason"] = reason
    elif _is_cjme(facts, split):
        subset = cjme(part, split)
        frame.loc[part.index[subset.isna()], "reason"] = "a trn clip of an unseen class"
        subset = subset.fillna(EXCLUDED)
    elif split.flavour == "published" and facts is not None:
        subset = assign.stratified(input_order(part, facts.order), split)
    else:
        subset = assign.stratified(part, split)
    frame.loc[subset.index, "subset"] = subset
    for name, rule in late.items():
        part = frame[frame["subset"] != EXCLUDED]
        reason = left_out(part, name, rule, split, cache, notes).dropna()
        frame.loc[reason.index, "subset"], frame.loc[reason.index, "reason"] = EXCLUDED, reason
    return notes


def class_overlap(classes: pd.DataFrame, split: SplitConfig, cache: Path | None) -> pd.DataFrame:
    """Return the overlap of the classes with the label sets that the split avoids (`find_overlap`)."""
    if not split.avoid:
        return pd.DataFrame(columns=OVERLAP)
    label_sets = {name: load_labels(name, split.overlap.files, cache) for name in split.avoid}
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
