"""What a page owes its reader where the features' own networks may have been told the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from avzsl.pretrained.label_sets import NOT_DISJOINT, UNKNOWABLE, title_of
from avzsl.report.results import BenchmarkFiles

UNSEEN = ("test_unseen", "val_unseen")
METRICS = ("unseen", "hm", "zsl")
# The output of nearest-phrase without the labels that name a class.
UNNAMED = "unnamed"


def open_features(benchmark: BenchmarkFiles) -> dict[str, Any] | None:
    """Return which classes the networks' training labels name and what they are worth; None for other features.

    `names` of the label sets, as a split's `avoid` takes them; `label_sets` (title, unseen classes named, unseen classes, class -> labels), None where nobody has compared them; `rows`
    (method, the full figures of `METRICS`, those without the naming labels), means over seeds in percent.
    """
    record = benchmark.record
    if not record.open:
        return None
    roles = dict(zip(benchmark.classes["class_name"], benchmark.classes["role"], strict=True))
    unseen = sorted(name for name, role in roles.items() if role in UNSEEN)
    label_sets = (record.extractor or {})["label_sets"]
    titles = [title_of(name) for name in label_sets]
    found: list[tuple[str, list[tuple[str, str, str]]]] | None = None
    if record.named is not None:
        found = [
            (
                title_of(label_set),
                [(c, roles[c], ", ".join(labels)) for c, labels in sorted(by.items())],
            )
            for label_set, by in record.named.items()
        ]
    named = {c for _, rows in found or [] for c, _, _ in rows}
    return {
        "names": label_sets, "titles": titles, "unknowable": any(name in UNKNOWABLE for name in label_sets), "unseen": len(unseen), "named": sorted(named & set(unseen)), "label_sets": found,
        "rows": [row for method in benchmark.config.methods if (row := _row(benchmark, method)) is not None],
    }  # fmt: skip


def _row(benchmark: BenchmarkFiles, method: str) -> tuple[str, list[float | None], list[float | None]] | None:
    records = [run.record for run in benchmark.runs(method)]
    without = [record.outputs[UNNAMED] for record in records if UNNAMED in record.outputs]
    if not without or len(without) < len(records):
        return None
    return method, [_mean(records, metric) for metric in METRICS], [_mean(without, metric) for metric in METRICS]


def _mean(scores: Any, metric: str) -> float | None:
    values = [getattr(one, metric) for one in scores]
    return None if any(value is None for value in values) else float(np.mean(values))


def mark(extractor: Mapping[str, Any]) -> str:
    """Return what stands before the weights in tables: `open (AudioSet, ImageNet-1k)`, nothing for other features.

    Of training data without a list of labels it says that the backbone is not disjoint from the classes, unknowably so.
    """
    label_sets = extractor.get("label_sets") or []
    titles = ", ".join(title_of(name) for name in label_sets)
    unknowable = f": {NOT_DISJOINT}" if any(name in UNKNOWABLE for name in label_sets) else ""
    return f"open ({titles}{unknowable})" if label_sets else ""
