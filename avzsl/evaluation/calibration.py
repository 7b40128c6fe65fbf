"""Seen and unseen accuracy as exact step functions of the calibration beta, from one distance matrix.

Calibrated stacking (Chao et al., ECCV 2016; CJME eq. 8) predicts argmin_c D[i, c] + beta * [c is seen]. Adding one
number to every seen column never changes which seen class is nearest, so each clip has one nearest seen and one
nearest unseen class, and changes its prediction at one value of beta only: the gap between the two distances. Sorting
the gaps gives S, U and HM for every beta at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from avzsl.contracts.errors import AvzslError

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.integer]
BoolArray = NDArray[np.bool_]

# The grid of the AVCA protocol: 0, 0.2 ... 3 in float32, as the released code makes it.
GRID = np.linspace(0, 3, 16, dtype=np.float32)
# By the name that the configuration gives it. ClipClap's code searches further and finer than all others'.
GRIDS = {"grid": GRID, "clipclap": np.linspace(0, 5, 76, dtype=np.float32)}
CACHED_ROWS = 1024
# Keeps HM at 0 where S = U = 0; the value of the released code.
EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Scores:
    """The four numbers of a benchmark, as shares (0..1), at one beta; None where no class has a clip."""

    seen: float | None
    unseen: float | None
    hm: float | None
    zsl: float | None
    beta: float


@overload
def harmonic_mean(seen: FloatArray, unseen: FloatArray) -> FloatArray: ...
@overload
def harmonic_mean(seen: float | None, unseen: float | None) -> float | None: ...
def harmonic_mean(seen: Any, unseen: Any) -> Any:
    """Return 2 S U / (S + U), 0 where both are 0; None (in arrays NaN) where either does not exist."""
    if seen is None or unseen is None:
        return None
    return 2 * seen * unseen / (seen + unseen + EPSILON)


def class_recall(correct: BoolArray | FloatArray, labels: IntArray, classes: int) -> FloatArray:
    """Return the share of correct clips of each class, (classes,), NaN for a class without clips."""
    total = np.bincount(labels, minlength=classes)
    right = np.bincount(labels, weights=correct, minlength=classes)
    with np.errstate(invalid="ignore"):
        return right / total


def mean_recall(recall: FloatArray, members: BoolArray) -> float | None:
    """Return the mean of `recall` over the classes of `members` that have clips; None if there is none."""
    values = recall[members]
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else None


class Calibration:
    """Every prediction of one model on one set of clips, as a function of beta.

    `distances` (clips, classes): smaller is nearer, uncalibrated. `labels` (clips,): column of the true class.
    `seen` (classes,): which columns are seen classes; all others are unseen.
    Clips of a tie go to the class with the smaller column, as argmin does.
    Raises AvzslError if distances are not finite, ValueError if there is no seen or no unseen class.
    """

    def __init__(self, distances: FloatArray, labels: IntArray, seen: BoolArray) -> None:
        if distances.shape != (len(labels), len(seen)):
            raise ValueError(f"distances {distances.shape} do not fit {len(labels)} clips and {len(seen)} classes")
        if seen.all() or not seen.any():
            raise ValueError("calibration needs at least one seen and one unseen class")
        self.labels, self.seen = labels, seen
        self.classes = len(seen)
        self.nearest_seen = np.empty(len(labels), np.int64)
        self.nearest_unseen = np.empty(len(labels), np.int64)
        self.gap = np.empty(len(labels), np.float64)
        # The nearest class of all is one of its side; the other side's is the nearest once infinity is added to this
        # side's columns. In pieces that stay in the cache, and whole rows at a time, which broadcasting would not add.
        bars = np.where(np.stack([~seen, seen]), np.inf, 0.0).astype(distances.dtype)
        for start in range(0, len(labels), CACHED_ROWS):
            part = slice(start, start + CACHED_ROWS)
            piece = distances[part]
            first = piece.argmin(1)
            as_seen = seen[first]
            barred = bars[as_seen.view(np.int8)]
            barred += piece
            other = barred.argmin(1)
            rows = np.arange(len(piece))
            # In float64 the difference of two float32 distances is exact, so that no rounding decides a tie.
            gap = piece[rows, other].astype(np.float64) - piece[rows, first]
            self.nearest_seen[part] = np.where(as_seen, first, other)
            self.nearest_unseen[part] = np.where(as_seen, other, first)
            self.gap[part] = np.where(as_seen, gap, -gap)
        # The smallest distance of a clip that has NaN, or nothing finite, is not finite: argmin takes the first NaN.
        if not np.isfinite(self.gap).all():
            raise AvzslError("the model gives distances that are not finite; lower training.lr")
        self._seen_wins_tie = self.nearest_seen < self.nearest_unseen

    def predict(self, beta: float) -> IntArray:
        """Return the column predicted for every clip among seen and unseen classes, (clips,)."""
        as_seen = (self.gap > beta) | ((self.gap == beta) & self._seen_wins_tie)
        return np.where(as_seen, self.nearest_seen, self.nearest_unseen)

    def predict_unseen(self) -> IntArray:
        """Return the column predicted for every clip among the unseen classes only, (clips,)."""
        return self.nearest_unseen

    def at(self, beta: float) -> Scores:
        """Return S, U, HM and ZSL at one beta."""
        seen, unseen = self.curve(np.asarray([beta], np.float64))
        s = None if np.isnan(seen[0]) else float(seen[0])
        u = None if np.isnan(unseen[0]) else float(unseen[0])
        return Scores(s, u, harmonic_mean(s, u), self.zsl, float(beta))

    def recall(self, beta: float) -> FloatArray:
        """Return the share of clips predicted rightly for each class, (classes,), NaN for a class without clips."""
        return class_recall(self.predict(beta) == self.labels, self.labels, self.classes)

    @cached_property
    def zsl(self) -> float | None:
        """Mean recall over the unseen classes when only they are candidates; it does not depend on beta."""
        return mean_recall(class_recall(self.nearest_unseen == self.labels, self.labels, self.classes), ~self.seen)

    @cached_property
    def empty(self) -> IntArray:
        """Columns of classes without a clip: they stay candidates, but no mean counts them."""
        return np.flatnonzero(self._counts == 0)

    @cached_property
    def _counts(self) -> IntArray:
        """Clips of each class."""
        return np.bincount(self.labels, minlength=self.classes)

    @cached_property
    def _weights(self) -> FloatArray:
        """Weight of each clip in S or U: 1 / (clips of its class x classes with clips on its side)."""
        counts = self._counts
        filled = counts > 0
        sides = np.where(self.seen, (filled & self.seen).sum(), (filled & ~self.seen).sum())
        return 1.0 / (counts[self.labels] * sides[self.labels])

    @cached_property
    def _steps(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Breakpoints of the clips right while predicted seen (they lose), and of those right once unseen (they win)."""
        losing = (self.nearest_seen == self.labels) & self.seen[self.labels]
        winning = (self.nearest_unseen == self.labels) & ~self.seen[self.labels]
        # A clip is predicted unseen from its gap on, or just after it where the seen class wins the tie.
        switch = np.where(self._seen_wins_tie, np.nextafter(self.gap, np.inf), self.gap)
        order_l, order_w = np.argsort(switch[losing], kind="stable"), np.argsort(switch[winning], kind="stable")
        lose = np.concatenate([[0.0], np.cumsum(self._weights[losing][order_l])])
        win = np.concatenate([[0.0], np.cumsum(self._weights[winning][order_w])])
        return switch[losing][order_l], lose, switch[winning][order_w], win

    def curve(self, betas: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return S and U at every beta, each of the shape of `betas`; NaN where no class of that side has a clip."""
        at_l, lose, at_w, win = self._steps
        betas = np.asarray(betas, np.float64)
        seen = lose[-1] - lose[np.searchsorted(at_l, betas, side="right")]
        unseen = win[np.searchsorted(at_w, betas, side="right")]
        present = self.seen[self._counts > 0]
        nothing = np.full(betas.shape, np.nan)
        return (seen if present.any() else nothing), (unseen if not present.all() else nothing)

    def best(self, betas: FloatArray = GRID) -> Scores:
        """Return the scores at the first beta of the grid with the highest HM (the released rule on ties)."""
        seen, unseen = self.curve(betas)
        hm = harmonic_mean(seen, unseen)
        if np.isnan(hm).all():
            return self.at(float(betas[0]))
        # Sums in another order differ in the last bits; equal shares must tie.
        first = int(np.flatnonzero(hm >= np.nanmax(hm) - 1e-12)[0])
        return self.at(float(betas[first]))

    @cached_property
    def breakpoints(self) -> FloatArray:
        """Every value of beta at which S or U changes, ascending."""
        at_l, _, at_w, _ = self._steps
        return np.unique(np.concatenate([at_l, at_w]))

    def best_exact(self) -> Scores:
        """Return the scores at the best beta of all real numbers: the middle of the best interval between two steps."""
        points = self.breakpoints
        if len(points) == 0:
            return self.at(0.0)
        inner = (points[:-1] + points[1:]) / 2
        # Neighbouring floats have no middle of their own; the upper end then starts the interval itself.
        return self.best(np.concatenate([[points[0] - 1.0], np.maximum(inner, points[:-1]), [points[-1] + 1.0]]))

    def area(self) -> float | None:
        """Return the area under the seen-unseen curve (AUSUC; Chao et al., 2016), trapezoids between its points."""
        points = self.breakpoints
        seen, unseen = self.curve(np.concatenate([[-np.inf], points]))
        if np.isnan(seen).any() or np.isnan(unseen).any():
            return None
        return float(np.sum((unseen[1:] - unseen[:-1]) * (seen[1:] + seen[:-1]) / 2))
