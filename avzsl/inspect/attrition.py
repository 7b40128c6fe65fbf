"""What became of the listed clips, by class and subset: listed -> reachable -> fetched -> decodable -> used."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from avzsl.contracts.atomic import replacing
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_text
from avzsl.contracts.schemas import CLIPS, FEATURES, MEDIA, SPLIT, TableSchema
from avzsl.contracts.tables import read_table
from avzsl.results.places import Places

logger = logging.getLogger(__name__)

STEPS = ("listed", "reachable", "fetched", "decodable", "used")
NOT_ASKED = "not_asked"
# No split of a configured benchmark uses the clip, so that nobody asks for it (`media.what: used`).
NOT_USED = "not_used"

# How far a clip came by the status of its media. A file that is too large was there but not taken.
_UNFETCHED = frozenset({"too_large"})
_FETCHED = frozenset({"corrupt", "no_audio_stream", "no_video_stream", "shorter_than_segment"})


@dataclass(frozen=True)
class Attrition:
    """`clips`: clip_id, class_name, subset, step (the last one reached), reason (status where it ended; null: used).
    `by_class` and `by_subset`: clips that reached each step. `reasons`: clips by class of reason and subset.
    `low`: test classes with fewer used clips than the limit. `snapshot`: a hash of the list of used clips.
    """

    clips: pd.DataFrame
    by_class: pd.DataFrame
    by_subset: pd.DataFrame
    reasons: pd.DataFrame
    low: pd.DataFrame
    snapshot: str


def attrition(
    clips: pd.DataFrame,
    media: pd.DataFrame,
    features: pd.DataFrame | None = None,
    split: pd.DataFrame | None = None,
    limit: int = 5,
    wanted: set[str] | None = None,
) -> Attrition:
    """Follow every clip of `clips` (CLIPS) through `media` (MEDIA), `features` (FEATURES) and `split` (SPLIT).

    Without features a clip counts as used when it is decodable. Every listed clip has its row, also one that no
    shard has reached yet (reason `not_asked`), or that is in no shard, where `wanted` holds all that are (reason
    `not_used`). `limit` is the number of used clips under which a test class is low.
    """
    rows = clips[["clip_id", "class_name"]].reset_index(drop=True)
    status = rows["clip_id"].map(media.set_index("clip_id")["status"]).fillna(NOT_ASKED)
    if wanted is not None:
        status[(status == NOT_ASKED) & ~rows["clip_id"].isin(wanted)] = NOT_USED
    step = pd.Series("listed", index=rows.index)
    step[status.isin(_UNFETCHED)] = "reachable"
    step[status.isin(_FETCHED)] = "fetched"
    step[status == "ok"] = "decodable"
    reason = status.where(status != "ok")
    decodable = status == "ok"
    if features is None:
        step[decodable] = "used"
    else:
        extracted = rows["clip_id"].map(features.set_index("clip_id")["status"]).fillna("not_extracted")
        step[decodable & (extracted == "ok")] = "used"
        reason = reason.where(~decodable | (extracted == "ok"), extracted)
    subset = "all" if split is None else rows["clip_id"].map(split.set_index("clip_id")["subset"]).fillna("unassigned")
    rows = rows.assign(subset=subset, step=step, reason=reason)
    by_class = _reached(rows, ["class_name", "subset"])
    used = sorted(rows.loc[rows["step"] == "used", "clip_id"])
    tested = by_class[by_class["subset"].isin(["test_seen", "test_unseen"])] if split is not None else by_class
    lost = rows[rows["reason"].notna()]
    reasons = lost.groupby(["reason", "subset"]).size().rename("clips").reset_index()
    return Attrition(
        rows,
        by_class,
        _reached(rows, ["subset"]),
        reasons.sort_values(["clips", "reason"], ascending=[False, True], ignore_index=True),
        tested[tested["used"] < limit].reset_index(drop=True),
        sha256_text("\n".join(used))[:16],
    )


def _reached(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Count, by `keys`, the clips that reached each step or a later one."""
    level = rows["step"].map({name: i for i, name in enumerate(STEPS)})
    flags = pd.DataFrame({name: (level >= i).astype("int64") for i, name in enumerate(STEPS)})
    return pd.concat([rows[keys], flags], axis=1).groupby(keys, sort=True).sum().reset_index()


def load_attrition(
    results: Path, dataset_name: str, features: str | None = None, split: str | None = None, limit: int = 5
) -> Attrition:
    """Read the tables of a data set under `results` and return its attrition.

    Features and split are used where they are there already. Raises DataError if there is no catalogue.
    """
    places = Places(results)
    return attrition(
        read_table(places.catalog_clips(dataset_name), CLIPS),
        read_media(results, dataset_name),
        _optional(places.pack_manifest(dataset_name, features), FEATURES) if features else None,
        _optional(places.split_clips(dataset_name, split), SPLIT) if split else None,
        limit,
        _wanted(places, dataset_name),
    )


def _wanted(places: Places, dataset_name: str) -> set[str] | None:
    """Return the clips of all shards; None before these are there."""
    tables = [read_table(path, CLIPS)["clip_id"] for path in places.shard_tables(dataset_name)]
    return set(pd.concat(tables)) if tables else None


def read_media(results: Path, dataset_name: str) -> pd.DataFrame:
    """Return the MEDIA rows of all shards that are done; an unreadable manifest is left out with a warning."""
    tables = []
    for path in Places(results).manifests(dataset_name):
        try:
            tables.append(read_table(path, MEDIA))
        except DataError as error:
            logger.warning("%s", error)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(MEDIA.columns))


def write_clip_list(path: Path, report: Attrition) -> None:
    """Write the list to publish beside results: ids, class, subset and what became of each; no media, no addresses."""
    with replacing(path) as temporary:
        report.clips.to_csv(temporary, index=False, columns=["clip_id", "class_name", "subset", "step", "reason"])


def _optional(path: Path, schema: TableSchema) -> pd.DataFrame | None:
    return read_table(path, schema) if path.is_file() else None
