"""Scores from per-clip predictions, with intervals and paired comparisons.

The report recomputes every score from `predictions.parquet` instead of repeating what a run says of itself, and
resamples the same predictions for its intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

METRICS = ("seen", "unseen", "hm", "zsl")
RESAMPLES = 1000
LEVEL = 95.0  # percent


@dataclass(frozen=True)
class Hits:
    """Right or wrong per test clip and seed, aligned over the runs of one benchmark.

    `gzsl` (clips, seeds) and `zsl` (clips, seeds; 0 for seen clips) hold 1.0 for a right answer;
    `classes` (clips,) the class number, `is_unseen` (classes,) whether the class is a test-unseen one.
    """

    gzsl: np.ndarray
    zsl: np.ndarray
    classes: np.ndarray
    is_unseen: np.ndarray


def harmonic_mean(seen: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Return HM = 2US / (U + S), 0 where both are 0 (AVCA section 4.1); any shape."""
    total = seen + unseen
    return np.divide(2 * seen * unseen, total, out=np.zeros_like(total), where=total > 0)


def collect_hits(predictions: list[pd.DataFrame]) -> Hits:
    """Align the `PREDICTIONS` tables of several seeds of one benchmark by clip.

    Raises ValueError if the runs were tested on different clips.
    """
    first = predictions[0].sort_values("clip_id", ignore_index=True)
    gzsl, zsl = [], []
    for table in predictions:
        ordered = table.sort_values("clip_id", ignore_index=True)
        if list(ordered["clip_id"]) != list(first["clip_id"]):
            raise ValueError("the runs were tested on different clips")
        gzsl.append((ordered["predicted"] == ordered["class_name"]).to_numpy(float))
        zsl.append((ordered["predicted_zsl"] == ordered["class_name"]).to_numpy(float))
    names, classes = np.unique(first["class_name"].to_numpy(str), return_inverse=True)
    is_unseen = np.zeros(len(names), dtype=bool)
    is_unseen[classes[(first["subset"] == "test_unseen").to_numpy()]] = True
    return Hits(np.stack(gzsl, axis=1), np.stack(zsl, axis=1), classes, is_unseen)


def scores(hits: Hits) -> dict[str, np.ndarray]:
    """Return S, U, HM and ZSL in percent, each (seeds,): means over classes of per-class accuracy.

    A class without test clips takes part in no mean (docs/fidelity.md on empty classes). Without any seen or any
    unseen class the metric is NaN.
    """
    sizes = np.bincount(hits.classes, minlength=len(hits.is_unseen)).astype(float)[:, None]
    return _scores(_per_class(hits.gzsl, hits) / sizes, _per_class(hits.zsl, hits) / sizes, hits.is_unseen)


def _per_class(values: np.ndarray, hits: Hits) -> np.ndarray:
    """Sum rows (clips, seeds) by class: (classes, seeds)."""
    sums = np.zeros((len(hits.is_unseen), values.shape[1]))
    np.add.at(sums, hits.classes, values)
    return sums


def _scores(gzsl: np.ndarray, zsl: np.ndarray, is_unseen: np.ndarray) -> dict[str, np.ndarray]:
    """Per-class accuracies with classes on the axis before the last, to percent without that axis."""
    empty = np.full(gzsl.shape[:-2] + gzsl.shape[-1:], np.nan)
    seen = 100 * gzsl[..., ~is_unseen, :].mean(axis=-2) if (~is_unseen).any() else empty
    unseen = 100 * gzsl[..., is_unseen, :].mean(axis=-2) if is_unseen.any() else empty
    only = 100 * zsl[..., is_unseen, :].mean(axis=-2) if is_unseen.any() else empty
    return {"seen": seen, "unseen": unseen, "hm": harmonic_mean(seen, unseen), "zsl": only}


def resample(hits: Hits, resamples: int = RESAMPLES, seed: int = 0) -> dict[str, np.ndarray]:
    """Bootstrap over test clips within each class; return S, U, HM, ZSL in percent, each (resamples, seeds).

    Clips are drawn with replacement inside their class, so every resample keeps the class balance that mean
    per-class accuracy is defined on, and the same draw serves all seeds. Equal clips and `seed` give equal draws:
    two methods of one benchmark can be compared pair by pair.
    """
    generator = np.random.default_rng(seed)
    number, seeds = len(hits.is_unseen), hits.gzsl.shape[1]
    gzsl, zsl = np.empty((resamples, number, seeds)), np.empty((resamples, number, seeds))
    for index in range(number):
        rows = np.flatnonzero(hits.classes == index)
        weights = generator.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=resamples) / len(rows)
        gzsl[:, index] = weights @ hits.gzsl[rows]
        zsl[:, index] = weights @ hits.zsl[rows]
    return _scores(gzsl, zsl, hits.is_unseen)


def interval(samples: np.ndarray) -> tuple[float, float]:
    """Return the percentile interval at `LEVEL` of bootstrap samples; (resamples,) or (resamples, seeds) averaged."""
    values = samples.mean(axis=1) if samples.ndim == 2 else samples
    edge = (100 - LEVEL) / 2
    low, high = np.percentile(values, [edge, 100 - edge])
    return float(low), float(high)


@dataclass(frozen=True)
class Comparison:
    """How sure it is that one method beats another on the same test clips; differences in points of percent."""

    better: str
    other: str
    metric: str
    difference: float
    low: float
    high: float
    share_above_zero: float

    @property
    def significant(self) -> bool:
        return self.low > 0


def compare(
    better: str,
    a: dict[str, np.ndarray],
    other: str,
    b: dict[str, np.ndarray],
    metric: str,
    seed: int = 0,
    difference: float | None = None,
) -> Comparison:
    """Compare bootstrap samples (resamples, seeds) of two methods that share the draws of clips.

    Training seeds are drawn again as well, for each method on its own, so that neither a lucky seed nor a lucky
    clip alone makes a difference significant. `difference` is that of the means that a table shows; without it the
    mean of the samples, which differs from it by the noise of the draws, takes its place.
    """
    generator = np.random.default_rng(seed)

    def over_seeds(samples: np.ndarray) -> np.ndarray:
        picks = generator.integers(samples.shape[1], size=samples.shape)
        return np.take_along_axis(samples, picks, axis=1).mean(axis=1)

    differences = over_seeds(a[metric]) - over_seeds(b[metric])
    low, high = interval(differences)
    point = float(a[metric].mean() - b[metric].mean()) if difference is None else difference
    return Comparison(better, other, metric, point, low, high, float((differences > 0).mean()))
