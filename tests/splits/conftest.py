"""Small catalogues made of nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import pytest

Tables = tuple[pd.DataFrame, pd.DataFrame]


def make_catalog(sizes: Sequence[int], per_source: int = 2, names: Sequence[str] | None = None) -> Tables:
    """Return clips and classes of a data set with `sizes[i]` clips in class i, `per_source` clips a source."""
    names = names or [f"kind {index:02d}" for index in range(len(sizes))]
    rows = [
        (f"{name}/{clip:03d}", name, f"{name} source {clip // per_source:03d}")
        for name, size in zip(names, sizes, strict=True)
        for clip in range(size)
    ]
    clips = pd.DataFrame(rows, columns=["clip_id", "class_name", "source_id"])
    clips["start_s"], clips["end_s"], clips["official_subset"] = None, None, None
    classes = pd.DataFrame({"class_name": list(names), "category": None, "clips": list(sizes)})
    classes["phrase"] = classes["class_name"]
    return clips, classes


@pytest.fixture(scope="session")
def catalog() -> Callable[..., Tables]:
    return make_catalog
