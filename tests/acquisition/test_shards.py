"""Only clips that a configured split uses are in a shard; what was asked for stays; test clips may come first."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from avzsl.acquisition.journal import Journal, Record, journal_path
from avzsl.acquisition.shards import read_wanted, write_shards
from avzsl.config.sources import MediaConfig
from avzsl.contracts.hashing import shard_of
from avzsl.contracts.records import read_record
from avzsl.contracts.schemas import CLIPS, MEDIA, SPLIT
from avzsl.contracts.tables import read_table, write_table
from avzsl.inspect.attrition import NOT_ASKED, NOT_USED, load_attrition
from avzsl.results.places import Places

SHARDS = 2
SUBSETS = {"a1": "train", "a2": "excluded", "b1": "test_seen", "b2": "excluded", "c1": "excluded", "d1": "train"}


@pytest.fixture
def places(tmp_path: Path) -> Places:
    clips = pd.DataFrame({"clip_id": list(SUBSETS), "class_name": "x", "dataset": "d"})
    clips["source_id"] = clips["clip_id"].str[0]
    clips["shard"] = [shard_of(source, SHARDS) for source in clips["source_id"]]
    places = Places(tmp_path / "results")
    write_table(places.catalog_clips("d"), clips, CLIPS)
    split(places, "one", SUBSETS)
    return places


def split(places: Places, name: str, subsets: dict[str, str]) -> None:
    table = pd.DataFrame({"clip_id": list(subsets), "class_name": "x", "subset": list(subsets.values())})
    write_table(places.split_clips("d", name), table, SPLIT)


def shards(places: Places, *splits: str, **media: str) -> dict[str, int]:
    """Write the shards; return the shard of every clip that is fetched."""
    config = MediaConfig.model_validate(media)
    tables = {name: places.split_clips("d", name) for name in splits}
    write_shards(places, "d", places.catalog_clips("d"), tables, SHARDS, config)
    assert len(places.shard_tables("d")) == SHARDS * config.parts, "also those without a clip"
    found = {}
    for path in places.shard_tables("d"):
        table = read_table(path, CLIPS)
        assert (table["shard"] == int(path.stem)).all()
        found |= dict.fromkeys(table["clip_id"], int(path.stem))
    return found


def test_clips_of_the_splits_are_taken_and_counted(places: Places) -> None:
    assert set(shards(places, "one")) == {"a1", "b1", "d1"} == read_wanted(places, "d")
    assert read_record(places.used("d")) | {"listed": 6, "used": 3, "splits": {"one": 3}} == read_record(
        places.used("d")
    )
    split(places, "two", {**dict.fromkeys(SUBSETS, "excluded"), "c1": "train"})
    assert set(shards(places, "one", "two")) == {"a1", "b1", "c1", "d1"}
    assert set(shards(places, what="all")) == set(SUBSETS)
    assert shards(places, what="all") == {clip: shard_of(clip[0], SHARDS) for clip in SUBSETS}


def test_what_was_asked_for_stays(places: Places) -> None:
    """Also where a job was stopped and left a journal alone: nothing is fetched or extracted again without need."""
    manifest = places.manifest("d", "0000")
    row = {"clip_id": "c1", "shard": 0, "status": "removed", "permanent": True, "attempts": 1}
    write_table(manifest, pd.DataFrame([row]), MEDIA)
    with Journal(journal_path(places.manifest("d", "0001"))) as journal:
        journal.append(Record("b2", "r"))
    assert set(shards(places, "one")) == {"a1", "b1", "d1", "c1", "b2"}


def test_test_clips_come_first_and_videos_stay_whole(places: Places) -> None:
    late = {clip: shard_of(clip[0], SHARDS) + SHARDS for clip in SUBSETS}
    found = shards(places, "one", order="test_first", what="all")
    assert found == {**late, "b1": shard_of("b", SHARDS), "b2": shard_of("b", SHARDS)}
    # A clip that another split tests later is not fetched a second time by another shard.
    row = {"clip_id": "d1", "shard": late["d1"], "status": "ok", "permanent": False, "attempts": 1}
    write_table(places.manifest("d", f"{late['d1']:04d}"), pd.DataFrame([row]), MEDIA)
    split(places, "two", {**SUBSETS, "d1": "test_seen", "a1": "test_seen"})
    found = shards(places, "two", order="test_first")
    assert found["d1"] == late["d1"] and found["a1"] == shard_of("a", SHARDS)


def test_attrition_tells_clips_that_nobody_uses_from_those_not_asked_yet(places: Places) -> None:
    reasons = load_attrition(places.results, "d", split="one").clips.set_index("clip_id")["reason"]
    assert set(reasons) == {NOT_ASKED}
    shards(places, "one")
    reasons = load_attrition(places.results, "d", split="one").clips.set_index("clip_id")["reason"]
    assert {clip for clip, reason in reasons.items() if reason == NOT_USED} == {"a2", "b2", "c1"}
    assert {clip for clip, reason in reasons.items() if reason == NOT_ASKED} == {"a1", "b1", "d1"}
