"""Clips that a CSV of yours names, for features that exist already and need no video (docs/own-features.md)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from avzsl.config.base import LocalFile, Section, expand
from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.errors import AvzslError, ConfigError
from splits.catalogs.base import Catalog

REQUIRED = ("clip_id", "class_name")
KNOWN = (*REQUIRED, "source_id", "category", "official_subset", "licence")


class Options(Section):
    """Keys of `catalog:` for clips named by a table."""

    clips: LocalFile = Field(
        description="the CSV, with columns clip_id and class_name; ~ and environment variables are expanded"
    )


def build(name: str, options: Options, dataset: DatasetConfig, cache: Path) -> Catalog:
    """List the clips of the CSV.

    `source_id` names the recording that clips were cut from, each clip its own where the column is missing or empty.
    Further columns of CLIPS are taken over, others are named in the notes.
    Raises ConfigError if the file cannot be read, AvzslError for a missing column, an empty field or no clip.
    """
    import pandas as pd

    path = expand(options.clips)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise ConfigError(f"datasets/{name}.yaml: catalog.clips: {path} cannot be read as a CSV ({error})") from error
    for column in REQUIRED:
        if column not in table.columns:
            raise AvzslError(f"{path}: has no column {column}; its columns are {', '.join(map(str, table.columns))}")
        empty = table.index[table[column].str.strip() == ""]
        if len(empty):
            raise AvzslError(f"{path}: line {int(empty[0]) + 2} has no {column}")
    if table.empty:
        raise AvzslError(f"{path}: names no clip")
    clips = table[[column for column in KNOWN if column in table.columns]].replace("", None)
    own = clips["source_id"] if "source_id" in clips.columns else pd.Series(None, index=clips.index, dtype=object)
    clips = clips.assign(source_id=own.fillna(clips["clip_id"]))
    others = [str(column) for column in table.columns if column not in KNOWN]
    notes = [f"columns of {path.name} that mean nothing here: {', '.join(others)}"] if others else []
    return Catalog(clips, pd.DataFrame({"class_name": sorted(clips["class_name"].unique())}), notes)
