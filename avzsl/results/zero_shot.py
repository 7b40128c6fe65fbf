"""Whether a benchmark tests classes that it validates on, as AudioSetZSL's published split does."""

from __future__ import annotations

import pandas as pd


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
