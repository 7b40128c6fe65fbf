"""From distances and predictions to S, U, HM and ZSL: calibration, intervals, paired tests, retrieval. Without torch."""

from avzsl.evaluation.calibration import GRID, GRIDS, Calibration, Scores, class_recall, harmonic_mean, mean_recall
from avzsl.evaluation.hits import METRICS, SHORT, Hits, collect_hits, scores, table_scores
from avzsl.evaluation.intervals import Comparison, Folds, Interval, Sample, compare, compare_folds, sample
from avzsl.evaluation.recompute import intersection, recompute

__all__ = [
    "GRID",
    "GRIDS",
    "METRICS",
    "SHORT",
    "Calibration",
    "Comparison",
    "Folds",
    "Hits",
    "Interval",
    "Sample",
    "Scores",
    "class_recall",
    "collect_hits",
    "compare",
    "compare_folds",
    "harmonic_mean",
    "intersection",
    "mean_recall",
    "recompute",
    "sample",
    "scores",
    "table_scores",
]
