"""Whether a benchmark tests classes that it validates on, as AudioSetZSL's published split does."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from avzsl.contracts.schemas import BENCHMARK_CLIPS
from avzsl.contracts.tables import read_table
from avzsl.results.places import RunPlaces


def validated_and_tested(clips: pd.DataFrame) -> int:
    """Return how many classes of BENCHMARK_CLIPS have used clips both in validation and in the test as unseen."""
    used = clips[clips["usable"]]
    parts = [set(used.loc[used["subset"] == name, "class_name"]) for name in ("val_unseen", "test_unseen")]
    return len(parts[0] & parts[1])


def in_words(both: int, unseen: int) -> str:
    """Say that `both` of the `unseen` tested classes are validated on; for wherever the benchmark's numbers stand."""
    return (
        f"{both} of the {unseen} classes tested as unseen are those that it validates on, and stage 2 trains on clips of "
        "them: not zero-shot"
    )


def not_zero_shot(clips: pd.DataFrame) -> str:
    """Return the sentence of `in_words` on BENCHMARK_CLIPS (class_name, subset, usable); nothing where all is well."""
    both = validated_and_tested(clips)
    tested = clips["usable"] & (clips["subset"] == "test_unseen")
    return in_words(both, clips.loc[tested, "class_name"].nunique()) if both else ""


def not_zero_shot_at(clips: Path) -> str:
    """Return the same of the BENCHMARK_CLIPS at `clips`; nothing where there is no such file."""
    if not clips.is_file():
        return ""
    return not_zero_shot(read_table(clips, BENCHMARK_CLIPS, ("class_name", "subset", "usable")))


def not_zero_shot_of(run: Path) -> str:
    """Return the same of the benchmark whose folder holds a run; nothing where the run was taken out of it."""
    folder = run.resolve()
    return not_zero_shot_at(RunPlaces(folder).benchmark_clips) if folder.parent.parent.name == "runs" else ""
