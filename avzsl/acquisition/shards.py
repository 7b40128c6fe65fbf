"""Which clips are fetched, and in which shard: what the configured splits need of the catalogue."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from avzsl.acquisition.journal import journal_path, read_journal
from avzsl.config.sources import MediaConfig
from avzsl.contracts.errors import DataError
from avzsl.contracts.records import write_record
from avzsl.contracts.schemas import CLIPS, EXCLUDED, SPLIT
from avzsl.contracts.tables import read_table, write_table
from avzsl.results.places import Places, shard_name

logger = logging.getLogger(__name__)

_TEST = ("test_seen", "test_unseen")


def write_shards(
    places: Places, dataset: str, clips: Path, splits: Mapping[str, Path], shards: int, media: MediaConfig
) -> None:
    """Write the clips to fetch as one CLIPS table a shard, and a record of how many of the listed ones these are.

    `clips` is the catalogue's CLIPS table, `splits` are the SPLIT tables by name that configured benchmarks take. With
    `media.what: used` a clip is taken that one of them uses; one that was asked for already stays, so that a split
    less fetches and extracts nothing again. A clip that is not taken keeps its row and reason in every split.
    With `media.order: test_first` shard N holds the test clips of shard N of the catalogue, and N + `shards` the rest;
    the clips of one video stay together. Raises DataError if a table does not fit its schema.
    """
    listed = read_table(clips, CLIPS)
    tables = {name: read_table(path, SPLIT).set_index("clip_id")["subset"] for name, path in splits.items()}
    asked = _asked(places, dataset)
    needed = {name: subset.index[subset != EXCLUDED] for name, subset in tables.items()}
    taken = pd.Series(media.what == "all", index=listed.index) | listed["clip_id"].isin(asked.index)
    for ids in needed.values():
        taken |= listed["clip_id"].isin(ids)
    chosen = listed[taken].copy()
    if media.order == "test_first":
        tested = pd.Series(False, index=chosen.index)
        for subset in tables.values():
            tested |= chosen["clip_id"].map(subset).isin(_TEST)
        chosen["shard"] += shards * ~_early(chosen, tested, chosen["clip_id"].map(asked), shards)
    groups = dict(list(chosen.groupby("shard", sort=True)))
    for shard in range(shards * media.parts):
        write_table(places.clips(dataset, shard_name(shard)), groups.get(shard, chosen.iloc[:0]), CLIPS)
    record = {
        "listed": len(listed),
        "used": len(chosen),
        "splits": {name: len(ids) for name, ids in needed.items()} if media.what == "used" else {},
    }
    write_record(places.used(dataset), record)
    logger.info("%s: %d of %d listed clips are to be fetched", dataset, len(chosen), len(listed))


def read_wanted(places: Places, dataset: str) -> set[str] | None:
    """Return the ids of the clips that are fetched; None before the shards are there."""
    tables = places.shard_tables(dataset)
    if not tables:
        return None
    return {str(clip) for path in tables for clip in pq.read_table(path, columns=["clip_id"])["clip_id"].to_pylist()}


def _early(clips: pd.DataFrame, tested: pd.Series, asked: pd.Series, shards: int) -> pd.Series:
    """Return which clips go into the first shards: those whose video has a test clip, unless it is in a later one."""
    source = clips["source_id"]
    late = (asked >= shards).groupby(source).transform("any")
    begun = (asked < shards).groupby(source).transform("any")
    return begun | (tested.groupby(source).transform("any") & ~late)


def _asked(places: Places, dataset: str) -> pd.Series:
    """Return the shard of every clip that was asked for already, by clip_id."""
    found: dict[str, int] = {}
    folder = places.manifest(dataset, shard_name(0)).parent
    numbers = {path.name.split(".")[0] for path in folder.glob("*") if path.suffix in {".parquet", ".jsonl"}}
    for number in sorted(name for name in numbers if name.isdigit()):
        manifest = places.manifest(dataset, number)
        try:
            ids = pq.read_table(manifest, columns=["clip_id"])["clip_id"].to_pylist()
        except (OSError, ValueError, DataError):
            # A job that was stopped has a journal alone.
            ids = list(read_journal(journal_path(manifest)))
        found |= dict.fromkeys(ids, int(number))
    return pd.Series(found, dtype="float64")
