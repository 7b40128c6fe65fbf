"""From distances to S, U, HM and ZSL: calibration, intervals, tests, retrieval. NumPy only."""

from avzsl.evaluation.calibration import GRID, Calibration, Scores, class_recall, harmonic_mean, mean_recall

__all__ = ["GRID", "Calibration", "Scores", "class_recall", "harmonic_mean", "mean_recall"]
