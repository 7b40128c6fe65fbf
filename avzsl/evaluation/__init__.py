"""From distances to S, U, HM and ZSL: calibration, intervals, tests, retrieval. NumPy only."""

from avzsl.evaluation.calibration import GRID, GRIDS, Calibration, Scores, class_recall, harmonic_mean, mean_recall
from avzsl.evaluation.recompute import intersection, recompute

__all__ = [
    "GRID",
    "GRIDS",
    "Calibration",
    "Scores",
    "class_recall",
    "harmonic_mean",
    "intersection",
    "mean_recall",
    "recompute",
]
