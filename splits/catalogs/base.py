"""What every catalogue shares: find the module, complete and write its tables.

Nothing heavy is imported before it is needed: whoever checks a configuration imports the catalogue modules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avzsl.config import plugins
from avzsl.config.base import Section
from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.errors import AvzslError, ConfigError

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class Catalog:
    """A data set as its public metadata lists it.

    `clips` holds the columns of the CLIPS schema and `classes` those of CLASSES; `build_catalog`
    fills in `dataset`, `shard`, `phrase` and the numbers of clips. A class without any clip stays
    in `classes`. `notes` are sentences for people: what was read, skipped or found odd.
    """

    clips: pd.DataFrame
    classes: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    options: str = ""  # hash of the options that it was built with


def build_catalog(name: str, dataset: DatasetConfig, cache: Path) -> Catalog:
    """Build the catalogue of data set `name`; downloads go to the folder `cache`.

    Clips come back sorted by clip_id and classes by class_name, with every column of the CLIPS and
    CLASSES schemas, so that equal metadata gives equal tables in whatever order it was listed.

    Raises ConfigError for wrong options, and AvzslError if the metadata cannot be had or is broken:
    duplicate clip ids, clips of a class that the class list does not hold, phrases of unknown classes.
    """
    options = _options(name, dataset)
    module = plugins.load(plugins.CATALOG, dataset.catalog.module)
    return complete(module.build(name, options, dataset, Path(cache)), name, dataset)


def complete(catalog: Catalog, name: str, dataset: DatasetConfig) -> Catalog:
    """Fill in the columns that follow from the others, sort, and check what must hold (see `build_catalog`)."""
    import pandas as pd

    from avzsl.contracts.hashing import sha256_value, shard_of
    from avzsl.contracts.schemas import CLASSES, CLIPS

    clips, classes = catalog.clips.copy(), catalog.classes.copy()
    _check_unique(clips["clip_id"], name, "clip ids")
    _check_unique(classes["class_name"], name, "class names")
    unlisted = sorted(set(clips["class_name"].unique()) - set(classes["class_name"]))
    if unlisted:
        raise AvzslError(f"data set {name}: clips of classes that its class list does not hold: {_some(unlisted)}")
    strangers = sorted(set(dataset.phrases) - set(classes["class_name"]))
    if strangers:
        raise ConfigError(f"datasets/{name}.yaml: phrases: the data set has no class {_some(strangers)}")

    clips["dataset"] = name
    if "shard" not in clips:
        sources = clips["source_id"].unique()
        clips["shard"] = clips["source_id"].map({source: shard_of(source, dataset.shards) for source in sources})
    if "phrase" not in classes:
        classes["phrase"] = None
    named = classes["class_name"].map(dataset.phrases)
    readable = classes["class_name"].map(readable_name)
    classes["phrase"] = named.fillna(classes["phrase"]).fillna(readable)
    classes["dataset"] = name
    counts = clips["class_name"].value_counts()
    classes["clips"] = classes["class_name"].map(counts).fillna(0).astype("int64")
    for frame, schema in ((clips, CLIPS), (classes, CLASSES)):
        for column in schema.columns:
            if column not in frame:
                frame[column] = None
    return Catalog(
        pd.DataFrame(clips[list(CLIPS.columns)]).sort_values("clip_id", ignore_index=True),
        pd.DataFrame(classes[list(CLASSES.columns)]).sort_values("class_name", ignore_index=True),
        list(catalog.notes),
        sha256_value(_options(name, dataset).model_dump(mode="json")),
    )


def write_catalog(catalog: Catalog, folder: Path, shards: int) -> None:
    """Write `clips.parquet`, `classes.parquet` and `catalog.json` below `folder`; `shards` is how many parts they name.

    Raises DataError if a table does not fit its schema.
    """
    from avzsl.contracts.records import write_record
    from avzsl.contracts.schemas import CLASSES, CLIPS
    from avzsl.contracts.tables import write_table

    folder = Path(folder)
    write_table(folder / "clips.parquet", catalog.clips, CLIPS)
    write_table(folder / "classes.parquet", catalog.classes, CLASSES)
    facts: dict[str, Any] = {
        "clips": len(catalog.clips),
        "classes": len(catalog.classes),
        "classes_without_clips": sorted(catalog.classes.loc[catalog.classes["clips"] == 0, "class_name"]),
        "sources": int(catalog.clips["source_id"].nunique()),
        "shards": shards,
        "notes": catalog.notes,
        "options": catalog.options,
        "class_names": list(catalog.classes["class_name"]),
    }
    write_record(folder / "catalog.json", facts)


def readable_name(class_name: str) -> str:
    """Return a class name as words: `ApplyEyeMakeup` and `apply_eye_makeup` are three words each."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", class_name.replace("_", " "))
    return " ".join(words.split()) or class_name


def _options(name: str, dataset: DatasetConfig) -> Section:
    """Return the typed options of the catalogue; ConfigError, one line with file and key, if one is wrong."""
    catalog = dataset.catalog
    return plugins.typed(plugins.CATALOG, catalog.module, catalog.options, f"datasets/{name}.yaml", "catalog.")


def _check_unique(values: pd.Series, name: str, what: str) -> None:
    twice = values[values.duplicated()].unique()
    if len(twice):
        raise AvzslError(f"data set {name}: {what} must be unique; listed twice: {_some(list(twice))}")


def _some(names: list[str]) -> str:
    return ", ".join(repr(n) for n in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
