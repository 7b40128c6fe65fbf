"""Memory that a job of each stage takes, by the clips of its data set: what `benchmarks/scale.py` measured, and a reserve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple


class Need(NamedTuple):
    """Megabytes of a job of no clips, and of each million clips more."""

    alone: int
    million: int


# Stages that read tables of all clips; whatever works shard by shard takes no more for more clips.
NEEDS = {
    "split": Need(1000, 1500),
    "shards": Need(1000, 1500),
    "pack": Need(1000, 1500),
    "steps": Need(1000, 1500),
    "benchmark": Need(1000, 1500),
    "run": Need(4000, 1500),
    "results": Need(1000, 1500),
    "tables": Need(1000, 1500),
    "report": Need(1000, 1500),
}


def megabytes(stage: str, clips: int) -> int:
    """Return what to ask of a machine or cluster for a job of a stage, in MB."""
    need = NEEDS[stage]
    return need.alone + round(need.million * clips / 1e6)


def listed_clips(catalog: Path) -> int:
    """Return how many clips a catalogue's `catalog.json` lists, 0 where there is none yet."""
    try:
        return int(json.loads(catalog.read_text(encoding="utf-8"))["clips"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
