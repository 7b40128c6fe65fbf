"""Checks on clips: shared sources, overlapping times, pre-training clips."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import ConfigError
from avzsl.runtime.seals import uses
from splits.check import ROWS, Check
from splits.files import Files, lines

STAGE_2 = ["train", "val_seen", "val_unseen"]
TESTED = ("test_seen", "test_unseen", "val_seen", "val_unseen")


def shared_sources(table: pd.DataFrame) -> list[Check]:
    """Count clips of each held-out subset whose source (video, group) also gave a clip that is trained on."""
    pairs = {
        "val_seen": (["train"], "train"),
        "test_seen": (STAGE_2, "training"),
        "val_unseen": (["train"], "train"),
        "test_unseen": ([*STAGE_2, "test_seen"], "seen"),
    }
    checks = []
    for subset, (others, words) in pairs.items():
        own = table[table["subset"] == subset]
        first = table[table["subset"].isin(others)].drop_duplicates("source_id").set_index("source_id")["clip_id"]
        hit = own[own["source_id"].isin(first.index)].sort_values("clip_id")
        examples = [f"{c} with {first[s]}" for c, s in hit[["clip_id", "source_id"]].head(ROWS).to_numpy()]
        title = f"{subset} clips that share their source with a {words} clip"
        checks.append(Check(f"{subset}_source", title, len(hit), len(own), examples))
    return checks


def overlapping_times(table: pd.DataFrame) -> list[Check]:
    """Count test clips that show some of the same seconds as a clip that is trained on."""
    checks = []
    for subset, others in (("test_seen", STAGE_2), ("test_unseen", [*STAGE_2, "test_seen"])):
        own = table[table["subset"] == subset]
        known = own.dropna(subset=["start_s", "end_s"])
        theirs = table[table["subset"].isin(others) & table["source_id"].isin(known["source_id"])]
        columns = ["clip_id", "source_id", "start_s", "end_s"]
        pairs = known[columns].merge(theirs[columns], on="source_id", suffixes=("", "_other"))
        seconds = pairs[["end_s", "end_s_other"]].min(axis=1) - pairs[["start_s", "start_s_other"]].max(axis=1)
        pairs["share"] = seconds / (pairs["end_s"] - pairs["start_s"])
        pairs = pairs[seconds > 0].sort_values(["clip_id", "clip_id_other"])
        most = pairs.groupby("clip_id")["share"].max()
        examples = [f"{a} with {b}" for a, b in pairs[["clip_id", "clip_id_other"]].head(ROWS).to_numpy()]
        note = f"{int((most > 0.5).sum())} by more than half of the clip"
        if len(known) < len(own):
            note += f"; the times of {len(own) - len(known)} clips are not known"
        title = f"{subset} clips that overlap in time with a seen clip of the same source"
        checks.append(Check(f"{subset}_time", title, len(most), len(own), examples, note))
    return checks


def pretraining(table: pd.DataFrame, config: SplitConfig) -> list[Check]:
    """Count clips of each held-out subset that are in a pre-training set, or share their source with it.

    A set is `official:SUBSET` of this data set (SeLaVi was trained on official VGGSound training clips), or a file
    whose first column holds YouTube ids, which are compared with the sources.
    """
    checks = []
    for name, where in config.pretraining.items():
        kind, _, value = where.partition(":")
        if kind == "official":
            inside = table["official_subset"] == value
            if not inside.any():
                raise ConfigError(f"pretraining.{name}: no clip is of official subset {value!r}")
            sources = set(table.loc[inside, "source_id"])
        else:
            sources = _youtube_ids(Path(where).expanduser(), name)
            inside = table["source_id"].isin(sources)
        sibling = ~inside & table["source_id"].isin(sources)
        for subset in TESTED:
            own = table["subset"] == subset
            hit = table[own & inside].sort_values("clip_id")
            note = f"{int((own & sibling).sum())} more share a source with one that was"
            title = f"{subset} clips that {name} was pre-trained on"
            examples = list(hit["clip_id"].head(ROWS))
            checks.append(Check(f"{subset}_in_{name}", title, len(hit), int(own.sum()), examples, note))
    return checks


def official_mixing(table: pd.DataFrame) -> list[Check]:
    """Count test clips that officially are training clips: the benchmark mixes the official subsets."""
    if table["official_subset"].isna().all():
        return []
    test = table[table["subset"].isin(["test_seen", "test_unseen"])]
    hit = test[test["official_subset"].isin(["train", "training", "unbalanced_train", "balanced_train"])]
    title = "test clips that officially are training clips"
    return [Check("official_mixing", title, len(hit), len(test), sorted(hit["clip_id"])[:ROWS])]


def _youtube_ids(path: Path, name: str) -> set[str]:
    if not path.is_file():
        raise ConfigError(f"pretraining.{name}: {path} is neither official:SUBSET nor a file")
    uses(path)
    text = Files(path).text(path.name)
    return {line.split(",")[0].strip() for _, line in lines(text) if not line.startswith("#")}
