"""ActivityNet v1.3: one clip per annotated segment, `<YouTube id>_<k>` for the k-th annotation of a video.

Official training and validation are merged, as the published benchmark does; testing has no annotations.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from pydantic import Field

from avzsl.config.base import Section
from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.errors import DataError
from splits.catalogs.base import Catalog
from splits.files import Files, RemoteFile

URLS = (
    "http://ec2-52-25-205-214.us-west-2.compute.amazonaws.com/files/activity_net.v1-3.min.json",
    "https://raw.githubusercontent.com/activitynet/ActivityNet/master/Evaluation/data/activity_net.v1-3.min.json",
)


class Options(Section):
    """Where the annotations are."""

    annotations: RemoteFile = Field(RemoteFile(), description="activity_net.v1-3.min.json")


def build(name: str, options: Options, dataset: DatasetConfig, cache: Path) -> Catalog:
    """Return the catalogue: a class is its label without spaces, its phrase the label itself.

    Raises DataError that names video and annotation if the file is not the ActivityNet 1.3 JSON.
    """
    import pandas as pd

    del dataset
    path = options.annotations.locate(
        "activity_net.v1-3.min.json", cache, f"datasets/{name}.yaml: catalog.annotations", URLS
    )
    content = _load(path)
    rows: list[tuple[Any, ...]] = []
    phrases: dict[str, str] = {}
    odd: list[str] = []
    for video, entry in content["database"].items():
        if not isinstance(entry, dict) or not isinstance(entry.get("annotations", []), list):
            raise DataError(path, f"video {video!r}: expected an object with a list of annotations")
        for k, annotation in enumerate(entry.get("annotations", [])):
            label, start, end = _annotation(path, video, k, annotation)
            class_name = label.replace(" ", "")
            if phrases.setdefault(class_name, label) != label:
                raise DataError(path, f"labels {phrases[class_name]!r} and {label!r} are one class name")
            odd += [f"{video}_{k}"] if end <= start else []
            rows.append((f"{video}_{k}", class_name, video, _url(video), start, end, entry.get("subset")))
    if not rows:
        raise DataError(path, "holds no annotated segment")
    columns = ["clip_id", "class_name", "source_id", "url", "start_s", "end_s", "official_subset"]
    classes = pd.DataFrame({"class_name": list(phrases), "phrase": list(phrases.values()), "category": None})
    notes = []
    if odd:
        notes.append(
            f"{len(odd)} segments end before they begin, an error of the annotations: {', '.join(odd[:3])}"
            f"{', ...' if len(odd) > 3 else ''}; they cannot be cut"
        )
    if not str(content.get("version", "")).endswith("1.3"):
        notes.append(f"the file says version {content.get('version')!r}; the benchmark was made from 1.3")
    if len(phrases) != 200:
        notes.append(f"{len(phrases)} classes instead of the 200 of ActivityNet v1.3")
    return Catalog(pd.DataFrame(rows, columns=columns), classes, notes)


def _load(path: Path) -> dict[str, Any]:
    try:
        files = Files(path)
        content = json.loads(files.text(files.names[0]))
    except (json.JSONDecodeError, RecursionError, IndexError) as error:
        raise DataError(path, f"is not whole JSON ({error}); delete it and get it again") from error
    if not isinstance(content, dict) or not isinstance(content.get("database"), dict):
        raise DataError(path, "expected the ActivityNet JSON: an object with `database`")
    return content


def _annotation(path: Path, video: str, k: int, annotation: Any) -> tuple[str, float, float]:
    try:
        label = annotation["label"]
        start, end = (float(value) for value in annotation["segment"])
    except (TypeError, KeyError, ValueError):
        raise DataError(
            path, f"video {video!r}, annotation {k}: expected a label and a segment of two numbers"
        ) from None
    if not isinstance(label, str) or not label.strip() or not (math.isfinite(start) and math.isfinite(end)):
        raise DataError(path, f"video {video!r}, annotation {k}: expected a label and a segment of two numbers")
    return label.strip(), start, end


def _url(video: str) -> str:
    return f"https://www.youtube.com/watch?v={video}"
