"""How sure a score is, and a difference: intervals over test clips, and over test clips and training seeds together.

Two things make a score uncertain. Test clips: other clips of the same classes would give another number. Clips of one
source (a recording, a video) fail and succeed together, so whole sources are drawn again, inside their class, one
fewer than there are: with n - 1 draws of n the variance of a mean is right however few there are (Rao and Wu, Journal
of the American Statistical Association 1988). Training seeds: another seed would give another model. Few seeds say
little of their own spread, which is what Student's t is for. Half widths of independent parts add in squares, each with
its own t (Howe, Journal of the American Statistical Association 1974): one t of pooled degrees of freedom covered 91 %
of three seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avzsl.evaluation.calibration import FloatArray
from avzsl.evaluation.hits import Hits, means_over_classes, scores

RESAMPLES = 1000
LEVEL = 95.0  # percent
# A class with fewer sources says nothing of how much they differ.
FEWEST_SOURCES = 5
# Percent; intervals narrower than that are rounding.
NO_WIDTH = 1e-9


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`, in percent or points of percent."""

    low: float
    high: float

    @property
    def without_zero(self) -> bool:
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Sample:
    """One method on one benchmark: its scores, and what they would be with other test clips; percent.

    `scores` holds each metric's (seeds,), `draws` (resamples,), the mean over seeds under each draw of test clips:
    the same draws for all methods that were tested on the same clips. `few` counts, for each metric, the classes it is
    the mean of and those of them that have fewer than `FEWEST_SOURCES` sources; `freedom` is the number of sources
    less the number of classes.
    """

    scores: dict[str, FloatArray]
    draws: dict[str, FloatArray]
    few: dict[str, tuple[int, int]]
    freedom: dict[str, int]

    def enough(self, metric: str) -> bool:
        """Whether the test clips can bear an interval: every class has sources enough, and draws of them differ."""
        return self.few[metric][0] == 0 and bool(np.ptp(self.draws[metric]) > NO_WIDTH)

    def over_clips(self, metric: str) -> Interval | None:
        """Return the interval of the mean over seeds, over draws of test clips alone; None: too few clips."""
        return self._around(metric, [self._clips(metric)]) if self.enough(metric) else None

    def total(self, metric: str) -> Interval | None:
        """Return the interval over test clips and training seeds; None: too few clips, or one seed."""
        values = self.scores[metric]
        if not self.enough(metric) or len(values) < 2:
            return None
        return self._around(metric, [self._clips(metric), _seeds(values)])

    def _clips(self, metric: str) -> tuple[float, float]:
        return float(self.draws[metric].var(ddof=1)), self.freedom[metric]

    def _around(self, metric: str, parts: list[tuple[float, float]]) -> Interval:
        mean, half = float(self.scores[metric].mean()), _half_width(parts)
        return Interval(max(mean - half, 0.0), min(mean + half, 100.0))


def _seeds(values: FloatArray) -> tuple[float, float]:
    """Return the variance of the mean over seeds, and its degrees of freedom."""
    return float(values.var(ddof=1)) / len(values), len(values) - 1


def sample(hits: Hits, resamples: int = RESAMPLES, seed: int = 0) -> Sample:
    """Draw the test clips again: sources with replacement inside their class, n - 1 of n, the same for all seeds.

    Every draw keeps the classes that mean per-class accuracy is defined on. A class's accuracy is that of all clips of
    the drawn sources. Equal clips and `seed` give equal draws, so two methods of one benchmark compare pair by pair.
    """
    generator = np.random.default_rng(seed)
    number, seeds = len(hits.names), hits.gzsl.shape[1]
    both = np.concatenate([hits.gzsl, hits.zsl], axis=1)
    drawn = np.empty((resamples, number, 2 * seeds))
    for index in range(number):
        rows = np.flatnonzero(hits.classes == index)
        _, source = np.unique(hits.sources[rows], return_inverse=True)
        n = int(source.max()) + 1
        right = np.zeros((n, 2 * seeds))
        np.add.at(right, source, both[rows])
        clips = np.bincount(source, minlength=n)
        weights = generator.multinomial(max(n - 1, 1), np.full(n, 1 / n), size=resamples)
        drawn[:, index] = (weights @ right) / (weights @ clips)[:, None]
    draws = means_over_classes(drawn[..., :seeds], drawn[..., seeds:], hits.is_unseen)
    sides = {"seen": ~hits.is_unseen, "unseen": hits.is_unseen, "zsl": hits.is_unseen, "hm": np.ones(number, bool)}
    sources = hits.sources_of_class
    few = {m: (int((sources[side] < FEWEST_SOURCES).sum()), int(side.sum())) for m, side in sides.items()}
    freedom = {m: int(sources[side].sum() - side.sum()) for m, side in sides.items()}
    return Sample(scores(hits), {m: values.mean(axis=1) for m, values in draws.items()}, few, freedom)


@dataclass(frozen=True)
class Comparison:
    """How much one method differs from another on the same test clips, in points of percent.

    `interval` is over test clips and training seeds (or over folds); None where there is too little to say.
    """

    method: str
    other: str
    metric: str
    difference: float
    interval: Interval | None

    @property
    def better(self) -> bool:
        return self.interval is not None and self.interval.low > 0

    @property
    def worse(self) -> bool:
        return self.interval is not None and self.interval.high < 0


def compare(method: str, a: Sample, other: str, b: Sample, metric: str) -> Comparison:
    """Compare two methods that were tested on the same clips, clip draw by clip draw, over independent training seeds.

    No interval where the test clips cannot bear one (too few sources, or the same difference on every draw), or where
    a single seed says nothing of what another would give.
    """
    values = (a.scores[metric], b.scores[metric])
    difference = float(values[0].mean() - values[1].mean())
    draws = a.draws[metric] - b.draws[metric]
    if a.few[metric][0] or not np.ptp(draws) > NO_WIDTH or min(map(len, values)) < 2:
        return Comparison(method, other, metric, difference, None)
    parts = [(float(draws.var(ddof=1)), a.freedom[metric])]
    half = _half_width([*parts, _welch(*map(_seeds, values))])
    return Comparison(method, other, metric, difference, Interval(difference - half, difference + half))


def _welch(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """Return the variance and the degrees of freedom of a difference of two means (Welch, Biometrika 1947)."""
    total = a[0] + b[0]
    return total, total**2 / (a[0] ** 2 / a[1] + b[0] ** 2 / b[1]) if total > 0 else 1


@dataclass(frozen=True)
class Folds:
    """One method on several class splits of one data set: each metric's (folds,), mean over seeds, in percent.

    `tested` is the share of the classes that a fold tests as unseen.
    """

    scores: dict[str, FloatArray]
    tested: float

    def over_folds(self, metric: str) -> Interval | None:
        """Return the interval of the mean over class splits; None with one fold."""
        found = _over_folds(self.scores[metric], self.tested)
        return None if found is None else Interval(max(found.low, 0.0), min(found.high, 100.0))


def compare_folds(method: str, a: Folds, other: str, b: Folds, metric: str) -> Comparison:
    """Compare two methods fold by fold, that is on the same classes and clips."""
    paired = a.scores[metric] - b.scores[metric]
    return Comparison(method, other, metric, float(paired.mean()), _over_folds(paired, a.tested))


def _over_folds(values: FloatArray, tested: float) -> Interval | None:
    """Return Student's interval of the mean, its variance corrected for folds that share classes.

    With 1 / K alone overlapping folds look independent; the term tested / (1 - tested) is the correction of Nadeau and
    Bengio (Machine Learning 2003, section 3).
    """
    number = len(values)
    if number < 2 or np.isnan(values).any() or np.ptp(values) <= NO_WIDTH:
        return None
    variance = float(values.var(ddof=1)) * (1 / number + tested / (1 - tested))
    half = _half_width([(variance, number - 1)])
    mean = float(values.mean())
    return Interval(mean - half, mean + half)


def _half_width(parts: list[tuple[float, float]]) -> float:
    """Return half of the interval at `LEVEL` of a sum of independent parts, each (variance, degrees of freedom)."""
    # Here, because every run imports this package, and this library costs it a quarter of a second.
    from scipy.special import stdtrit

    squares = sum(variance * stdtrit(max(freedom, 1), 1 - (100 - LEVEL) / 200) ** 2 for variance, freedom in parts)
    return float(np.sqrt(squares))
