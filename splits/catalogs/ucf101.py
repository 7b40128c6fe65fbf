"""UCF101: 13,320 clips of 101 actions; the clips of one group (gNN) were cut from one video.

Names come from the official list archive, or from whatever holds them: the folder of videos, a folder with the
official lists, or a text file of one name a line (`unrar lb UCF101.rar`).
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field

from avzsl.config.base import Section
from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.errors import DataError
from splits.catalogs.base import Catalog
from splits.files import Files, RemoteFile, lines, malformed

URLS = (
    "https://www.crcv.ucf.edu/data/UCF101/UCF101TrainTestSplits-RecognitionTask.zip",
    "https://www.crcv.ucf.edu/wp-content/uploads/2019/03/UCF101TrainTestSplits-RecognitionTask.zip",
)
CLIPS, CLASSES = 13_320, 101
NAME = re.compile(r"(?:(?P<folder>[^/\\]+)[/\\])?(?P<stem>v_(?P<label>[A-Za-z]+)_(?P<group>g\d\d)_c\d\d)(?:\.\w+)?$")
# Folder HandstandPushups holds files v_HandStandPushups_*: the folder's spelling is the class.
SPELLING = {"handstandpushups": "HandstandPushups"}


class Options(Section):
    """Where the names of the clips are."""

    lists: RemoteFile = Field(
        RemoteFile(),
        description="the official list archive, a folder of it, the folder of videos, or a text file of names",
    )


def build(name: str, options: Options, dataset: DatasetConfig, cache: Path) -> Catalog:
    """Return the catalogue: clip_id is the file name without ending, source_id its class and group.

    Raises DataError with file and line for a name that is not of UCF101.
    """
    import pandas as pd

    del dataset
    path = options.lists.locate(
        "UCF101TrainTestSplits-RecognitionTask.zip", cache, f"datasets/{name}.yaml: catalog.lists", URLS
    )
    files = Files(path)
    rows: dict[str, dict[str, str | None]] = {}
    official = {subset: files.find(f"{subset}list01.txt") for subset in ("train", "test")}
    if all(official.values()):
        for subset, member in official.items():
            _read(f"{path}/{member}", files.text(str(member)), subset, rows)
    elif path.is_file():
        _read(str(path), files.text(path.name), None, rows)
    else:
        _read(str(path), "\n".join(n for n in files.names if n.lower().endswith(".avi")), None, rows)
    if not rows:
        raise DataError(path, "holds neither the official lists (trainlist01.txt, testlist01.txt) nor UCF101 videos")
    clips = pd.DataFrame(list(rows.values()))
    labels = set(clips["class_name"])
    index = files.find("classInd.txt")
    if index is not None:
        labels |= _classes(f"{path}/{index}", files.text(index))
    notes = [
        f"{have} {what} instead of the {all_} of UCF101"
        for have, all_, what in ((len(clips), CLIPS, "clips"), (len(labels), CLASSES, "classes"))
        if have != all_
    ]
    return Catalog(clips, pd.DataFrame({"class_name": sorted(labels), "category": None}), notes)


def _read(where: str, text: str, subset: str | None, rows: dict[str, dict[str, str | None]]) -> None:
    for number, line in lines(text):
        entry = line.strip()
        # trainlist01.txt ends in the class number; testlist01.txt does not.
        found = NAME.search(re.sub(r"\s+\d+$", "", entry))
        if found is None:
            if "." not in entry:
                continue  # `unrar lb` also lists the folders
            raise malformed(where, number, line, "a name like Archery/v_Archery_g01_c01.avi")
        label = SPELLING.get(found["label"].lower(), found["label"])
        if found["folder"] and found["folder"].lower() not in {label.lower(), "ucf-101", "ucf101"}:
            raise malformed(where, number, line, "a file in the folder of its own class")
        if found["stem"] in rows:
            raise DataError(f"{where}, line {number}", f"{found['stem']} is listed twice")
        rows[found["stem"]] = {
            "clip_id": found["stem"],
            "class_name": label,
            "source_id": f"{label} {found['group']}",
            "path": f"{label}/{found['stem']}.avi",
            "official_subset": subset,
        }


def _classes(where: str, text: str) -> set[str]:
    labels = set()
    for number, line in lines(text):
        found = re.fullmatch(r"\d+\s+([A-Za-z]+)", line.strip())
        if found is None:
            raise malformed(where, number, line, "a number and a class name, like 1 ApplyEyeMakeup")
        labels.add(SPELLING.get(found[1].lower(), found[1]))
    return labels
