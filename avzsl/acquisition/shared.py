"""Media that another project or person fetched into a shared data folder already."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

import avzsl
from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_value
from avzsl.contracts.schemas import MEDIA
from avzsl.contracts.tables import read_table

logger = logging.getLogger(__name__)


def shareable(dataset: DatasetConfig) -> bool:
    """Return whether a manifest stays true for others: files that a user may change in place, or that are deleted
    after use, are looked at by everybody for himself."""
    return dataset.media.keep == "clips" and not any(getattr(source, "in_place", False) for source in dataset.sources)


def shard_key(clips: pd.DataFrame, dataset: DatasetConfig, media_dir: Path) -> str:
    """Return a hash of all that decides a shard's media and where they lie. `clips` is a CLIPS table."""
    return sha256_value(
        [
            "media",
            avzsl.__version__,
            clips.astype(object).where(clips.notna(), None).to_numpy().tolist(),  # type: ignore[call-overload]
            [source.model_dump(mode="json") for source in dataset.sources],
            dataset.media.model_dump(mode="json"),
            str(media_dir.absolute()),
        ]
    )


def settled(manifest: Path) -> bool:
    """Return whether asking again can change nothing: every clip is there, with its file, or lost for good."""
    try:
        table = read_table(manifest, MEDIA)
    except DataError:
        return False
    there = table["status"] == "ok"
    if not (there | table["permanent"]).all():
        return False
    for path, size in zip(table.loc[there, "path"], table.loc[there, "bytes"], strict=True):
        file = Path(path)
        if not file.is_absolute() or not file.is_file() or file.stat().st_size != size:
            return False
    return True
