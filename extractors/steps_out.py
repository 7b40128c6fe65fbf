"""The steps of a benchmark's features for other code: plain arrays, or the pickles of TCaF's layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from avzsl.contracts.atomic import write_text
from avzsl.contracts.streams import map_streams
from extractors.packing import pack_steps
from extractors.released_features import SPLITS
from extractors.temporal import export_temporal

ARRAYS = "features.safetensors"


def export_steps(
    shards: Sequence[Path], pack: Path, clips: pd.DataFrame, folder: Path, *, pickled: bool
) -> dict[str, int]:
    """Write the steps of all clips with features below `folder`; return how many clips each subset or file holds.

    `clips` has clip_id, class_name and subset. Arrays: features.safetensors with `audio`, `visual`, their `_offsets` and
    `_times`, and clips.csv in the same order, which `avzsl new --features` reads again. Pickles: one for each released
    subset, which the memory has to hold; classes are numbered by name.
    """
    arrays = folder / ARRAYS
    pack_steps(shards, pack, arrays)
    streams, header = map_streams(arrays)
    if not pickled:
        listed = clips.drop_duplicates("clip_id").set_index("clip_id")
        table = listed.reindex(header["clip_ids"])[["class_name", "subset"]].rename_axis("clip_id").reset_index()
        write_text(folder / "clips.csv", table.to_csv(index=False))
        return {str(name): int(count) for name, count in table["subset"].value_counts().sort_index().items()}
    rows = {clip_id: row for row, clip_id in enumerate(header["clip_ids"])}
    class_ids = {str(name): number for number, name in enumerate(sorted(clips["class_name"].unique()))}
    counts = {}
    for split, subsets in SPLITS.items():
        part = clips[clips["subset"].isin(subsets)]
        counts[split] = export_temporal(streams, rows, part, class_ids, folder / f"{split}.pickle")
    arrays.unlink()
    return counts
