"""The trade-off between seen and unseen classes over every calibration (CJME figure 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tradeoff:
    """S and U in percent at each β, and the area under the curve they draw (0..1)."""

    betas: np.ndarray
    seen: np.ndarray
    unseen: np.ndarray
    area: float

    @property
    def hm(self) -> np.ndarray:
        total = self.seen + self.unseen
        return np.divide(2 * self.seen * self.unseen, total, out=np.zeros_like(total), where=total > 0)


def trade_off(distances: np.ndarray, truth: np.ndarray, seen_classes: np.ndarray) -> Tradeoff:
    """Return S and U for all β at which any prediction changes.

    `distances` (clips, classes) uncalibrated, `truth` (clips,) class numbers, `seen_classes` (classes,) bool.
    β is added to the distance of every seen class (calibrated stacking, Chao et al. 2016), so a clip goes to its
    nearest seen class while β <= d_unseen - d_seen and to its nearest unseen class afterwards: one threshold a clip
    gives the exact curve, without a grid. The area is theirs too (AUSUC): under U over S, both in 0..1.
    """
    seen_ids, unseen_ids = np.flatnonzero(seen_classes), np.flatnonzero(~seen_classes)
    if not len(seen_ids) or not len(unseen_ids) or not len(truth):
        nothing = np.empty(0)
        return Tradeoff(nothing, nothing, nothing, float("nan"))
    rows = np.arange(len(truth))
    near_seen = seen_ids[distances[:, seen_ids].argmin(axis=1)]
    near_unseen = unseen_ids[distances[:, unseen_ids].argmin(axis=1)]
    threshold = (distances[rows, near_unseen] - distances[rows, near_seen]).astype(float)
    order = np.argsort(threshold, kind="stable")
    present, position = np.unique(truth, return_inverse=True)
    # A right clip of class c is worth 1 / (clips of c) / (classes on its side).
    worth = 1.0 / np.bincount(position)[position]
    is_seen = seen_classes[truth]
    right_seen = np.where(is_seen & (near_seen == truth), worth, 0.0)[order] / max(seen_classes[present].sum(), 1)
    right_unseen = np.where(~is_seen & (near_unseen == truth), worth, 0.0)[order] / max(
        (~seen_classes[present]).sum(), 1
    )
    # Before the first threshold every clip has a seen class, after the last an unseen one.
    seen = np.concatenate([[right_seen.sum()], right_seen.sum() - np.cumsum(right_seen)]).clip(0, 1)
    unseen = np.concatenate([[0.0], np.cumsum(right_unseen)]).clip(0, 1)
    steps = np.append(np.diff(threshold[order]) > 0, True)
    keep = np.concatenate([[True], steps])
    betas = np.concatenate([[threshold[order[0]]], threshold[order]])
    # S falls while U rises: the area under U over S is summed from high S to low S.
    area = float(-np.trapezoid(unseen[keep], seen[keep]))
    return Tradeoff(betas[keep], 100 * seen[keep], 100 * unseen[keep], area)
