"""The clips and classes that released lists name, for released features: no metadata and no video is needed."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field

from avzsl.config.base import Section
from avzsl.config.dataset import DatasetConfig
from avzsl.config.splits import ListsConfig
from splits.catalogs.base import Catalog
from splits.lists import read_all_classes, read_lists

# UCF101's clips of one group and class are of one video; the others' names begin with the YouTube id.
UCF = re.compile(r"v_(?P<label>[A-Za-z]+)_(?P<group>g\d\d)_c\d\d")
YOUTUBE = re.compile(r"(?P<id>[\w-]{11})_\d+")


class Options(Section):
    """Where the lists are."""

    lists: ListsConfig = Field(description="the released lists, as a split of flavour `imported` names them")


def build(name: str, options: Options, dataset: DatasetConfig, cache: Path) -> Catalog:
    """Return every clip of the lists; classes that differ in case alone are one, spelled as the clip lists do.

    Raises DataError for lists that are not what they should be.
    """
    import pandas as pd

    del name, dataset
    lists = read_lists(options.lists, "main", cache)
    labels = {clip: label for clips in lists.clips.values() for clip, label in clips.items()}
    spelling: dict[str, str] = {}
    # A class that takes no part keeps its place in the released order of the class embeddings.
    others = read_all_classes(options.lists, cache)
    for label in [*labels.values(), *(label for classes in lists.classes.values() for label in classes), *others]:
        spelling.setdefault(label.lower(), label)
    clips = pd.DataFrame(
        [
            {"clip_id": clip, "class_name": spelling[label.lower()], "source_id": source_of(clip)}
            for clip, label in labels.items()
        ]
    )
    classes = pd.DataFrame({"class_name": sorted(spelling.values()), "category": None})
    return Catalog(clips, classes, lists.problems)


def source_of(clip: str) -> str:
    """Return what a released clip was cut from, as its name tells: a UCF group of a class, a YouTube id, or itself."""
    ucf, youtube = UCF.fullmatch(clip), YOUTUBE.fullmatch(clip)
    if ucf:
        return f"{ucf['label'].lower()} {ucf['group']}"
    return youtube["id"] if youtube else clip
