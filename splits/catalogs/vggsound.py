"""VGGSound: 199,176 ten-second clips of 309 sounds, each class in one of nine categories."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from pydantic import Field

from avzsl.config.base import Section
from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.errors import DataError
from splits.catalogs.base import Catalog
from splits.files import Files, RemoteFile, malformed

CSV_URLS = (
    "https://www.robots.ox.ac.uk/~vgg/data/vggsound/vggsound.csv",
    "https://raw.githubusercontent.com/hche11/VGGSound/master/data/vggsound.csv",
)
CATEGORY_URLS = ("https://raw.githubusercontent.com/hche11/VGGSound/master/data/stat.csv",)
SECONDS = 10.0
CLIPS, CLASSES = 199_176, 309


class Options(Section):
    """Where the two tables are."""

    clips: RemoteFile = Field(RemoteFile(), description="vggsound.csv: YouTube id, start, label, train or test")
    categories: RemoteFile = Field(RemoteFile(), description="stat.csv: class, number of clips, category")


def build(name: str, options: Options, dataset: DatasetConfig, cache: Path) -> Catalog:
    """Return the catalogue: clip_id is `<YouTube id>_<start in six digits>`, the released file name.

    Raises DataError with file and line for a row that is malformed, listed twice or of an unknown class.
    """
    import pandas as pd

    del dataset
    table = options.clips.locate("vggsound.csv", cache, f"datasets/{name}.yaml: catalog.clips", CSV_URLS)
    categories = _categories(
        options.categories.locate("stat.csv", cache, f"datasets/{name}.yaml: catalog.categories", CATEGORY_URLS)
    )
    rows: dict[str, tuple[str, str, str, str, float, float, str, str]] = {}
    for number, row in _rows(table):
        # A spreadsheet that saved the list again puts a header there and may write 30 as 30.0.
        if number == 1 and len(row) == 4 and row[3].lower() in {"split", "subset"}:
            continue
        if len(row) == 4:
            row[1] = re.sub(r"\.0+$", "", row[1])
        if (
            len(row) != 4
            or not re.fullmatch(r"[\w-]{11}", row[0])
            or not row[1].isdecimal()
            or row[3] not in {"train", "test"}
        ):
            raise malformed(table, number, ",".join(row), "YouTube id,start in seconds,label,train or test")
        video, start, label, subset = row
        if label not in categories:
            raise DataError(f"{table}, line {number}", f"class {label!r} is not in the table of categories")
        clip_id = f"{video}_{int(start):06d}"
        if clip_id in rows:
            raise DataError(f"{table}, line {number}", f"{clip_id} is listed twice")
        url = f"https://www.youtube.com/watch?v={video}"
        rows[clip_id] = (clip_id, label, video, url, float(start), float(start) + SECONDS, categories[label], subset)
    columns = ["clip_id", "class_name", "source_id", "url", "start_s", "end_s", "category", "official_subset"]
    clips = pd.DataFrame(list(rows.values()), columns=columns)
    classes = pd.DataFrame({"class_name": list(categories), "category": list(categories.values())})
    notes = [
        f"{have} {what} instead of the {all_} of VGGSound"
        for have, all_, what in ((len(clips), CLIPS, "clips"), (len(classes), CLASSES, "classes"))
        if have != all_
    ]
    return Catalog(clips, classes, notes)


def _categories(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, row in _rows(path):
        if len(row) != 3 or not row[1].isdecimal() or not row[0] or not row[2]:
            raise malformed(path, number, ",".join(row), "class,number of clips,category")
        if row[0] in found:
            raise DataError(f"{path}, line {number}", f"class {row[0]!r} is listed twice")
        found[row[0]] = row[2]
    if not found:
        raise DataError(path, "holds no class")
    return found


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return (line number, fields) of a csv file; labels with commas stand in quotes."""
    files = Files(path)
    reader = csv.reader(io.StringIO(files.text(files.names[0]), newline=""), strict=True, skipinitialspace=True)
    rows = []
    try:
        for row in reader:
            if row:
                rows.append((reader.line_num, [field.strip() for field in row]))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}", f"is not csv ({error})") from error
    return rows
