"""Retrieval in the common space (CJME section 5): mean average precision, leave-one-out, averaged over classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from avzsl.evaluation.calibration import BoolArray, FloatArray, IntArray, class_recall, harmonic_mean, mean_recall

# Distances held at once: a block of queries against the gallery, some ten megabytes with what is made of it.
BLOCK = 1_000_000
# A query with more relevant items that another item ties with is sorted as a whole.
FEW_TIES = 16
# Bins of equal width between a query's nearest item and its farthest relevant one: their counts stay in the cache.
BINS = 4096


def average_precision(distances: FloatArray, relevant: BoolArray) -> FloatArray:
    """Return the average precision of each query, (Q,): mean precision at the ranks of its relevant items.

    `distances` (Q, G), not negative, infinite for items outside a query's gallery, are compared in float32;
    `relevant` (Q, G). NaN without relevant items. Ties are ranked by position.
    """
    return _precisions(np.ascontiguousarray(distances, np.float32), [np.flatnonzero(mask) for mask in relevant])


def _precisions(values: FloatArray, relevant: Sequence[IntArray]) -> FloatArray:
    """Return the average precision of each query of `values` (Q, G) float32, by the positions of its relevant items."""
    return np.asarray([_precision(row, own) if len(own) else np.nan for row, own in zip(values, relevant, strict=True)])


def _precision(values: FloatArray, own: IntArray) -> float:
    """Return the average precision of one query from its distances (G,) and the positions of its relevant items."""
    mine = values[own]
    skipped, ordered = _around(values, own)
    before = np.searchsorted(ordered, mine)
    tied = np.flatnonzero(np.searchsorted(ordered, mine, side="right") - before > 1)
    if len(tied) > FEW_TIES:
        ranks = np.empty(len(values), np.int64)
        ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
        before = ranks[own]
    else:
        for item in tied:
            before[item] += np.count_nonzero(values[: own[item]] == mine[item])
        before += skipped
    before.sort()
    return float(np.mean(np.arange(1, len(own) + 1) / (before + 1)))


def _around(values: FloatArray, own: IntArray) -> tuple[IntArray, FloatArray]:
    """Return of each relevant item how many nearer ones were left aside, and all others, sorted.

    Nearer items count, whatever their order: those that share a bin with no relevant item are counted bin by bin. A sort of
    them all takes 15 to 21 ns an item on processors whose AVX-512 stores selected values slowly (Zen 4), this a third.
    """
    low, high = values.min(), values[own].max()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = np.float32(BINS) / (high - low)
    if not 0 < scale < np.inf:  # all relevant items are as near as the nearest, or something is not finite
        return np.zeros(len(own), np.int64), np.sort(values)
    # Rounding keeps the order: a smaller value is never in a later bin.
    bins = ((np.minimum(values, high) - low) * scale).astype(np.int64)
    counts = np.bincount(bins, minlength=BINS + 2)
    shared = np.zeros(len(counts), np.bool_)
    shared[bins[own]] = True
    counts[shared] = 0
    return np.cumsum(counts)[bins[own]], np.sort(values[shared[bins] & (values <= high)])


# Squared Euclidean distances in one product, in float64 because this form cancels: of a query (-2 q, |q|^2, 1) and of
# a gallery item (g, 1, |g|^2).
def _as_query(points: FloatArray) -> NDArray[np.float64]:
    q = points.astype(np.float64)
    return np.concatenate([-2 * q, (q**2).sum(1, keepdims=True), np.ones((len(q), 1))], axis=1)


def _as_gallery(points: FloatArray) -> NDArray[np.float64]:
    g = points.astype(np.float64)
    return np.ascontiguousarray(np.concatenate([g, np.ones((len(g), 1)), (g**2).sum(1, keepdims=True)], axis=1).T)


class Ranking(Protocol):
    """Who ranks galleries and gives average precisions, such as a GPU (`avzsl.training.ranking`)."""

    def among(
        self,
        queries: Sequence[FloatArray],
        gallery: Sequence[FloatArray],
        query_labels: IntArray,
        labels: IntArray,
        leave_out: bool,
    ) -> FloatArray:
        """Rank by the sum of the distances of each pair of points; `leave_out`: query i is not in its own gallery."""
        ...

    def by(self, distances: FloatArray, relevant: BoolArray) -> FloatArray:
        """Rank by given distances, as `average_precision`."""
        ...


class HostRanking:
    """The ranking of this module."""

    def among(
        self,
        queries: Sequence[FloatArray],
        gallery: Sequence[FloatArray],
        query_labels: IntArray,
        labels: IntArray,
        leave_out: bool,
    ) -> FloatArray:
        """Rank by distances of points."""
        result, nothing = np.empty(len(query_labels)), np.empty(0, np.int64)
        of_class = {int(label): np.flatnonzero(labels == label) for label in np.unique(labels)}
        prepared = [(_as_query(q), _as_gallery(g)) for q, g in zip(queries, gallery, strict=True)]
        some = max(1, BLOCK // len(labels))
        for start in range(0, len(query_labels), some):
            part = slice(start, start + some)
            squared = [q[part] @ g for q, g in prepared]
            # One distance orders as its square does.
            exact = (
                squared[0] if len(squared) == 1 else np.sum([np.sqrt(np.maximum(each, 0)) for each in squared], axis=0)
            )
            distances = exact.astype(np.float32)
            np.maximum(distances, 0, out=distances)
            relevant = [of_class.get(int(label), nothing) for label in query_labels[part]]
            if leave_out:
                own = np.arange(len(distances))
                distances[own, start + own] = np.inf
                relevant = [items[items != start + query] for query, items in enumerate(relevant)]
            result[part] = _precisions(distances, relevant)
        return result

    def by(self, distances: FloatArray, relevant: BoolArray) -> FloatArray:
        """Rank by given distances."""
        return average_precision(distances, relevant)


def retrieve(
    points: Mapping[str, FloatArray],
    labels: IntArray,
    seen: BoolArray,
    distances: FloatArray | None = None,
    ranking: Ranking | None = None,
) -> dict[str, dict[str, float | None]]:
    """Return mAP in percent of every direction of the CJME paper that the method allows: `seen`, `unseen` and `hm` each.

    `points` holds `classes` (C, dim) and, in the same space, `audio` and `visual` (clips, dim), one of them, or `both`
    (clips, dim) for a method that embeds joined modalities; it may be empty. `distances` (clips, C), uncalibrated, are
    the method's own: `text_selected` ranks by them (CJME's "T -> A or V"). `labels` (clips,) index classes; `seen` (C,).
    The gallery is always all test clips, seen and unseen; a clip is never in its own gallery. `text_both` ranks by the
    sum of both distances (eq. 6). `ranking`: who ranks, this processor by default. The mean is first over a class's queries, then over classes.
    """
    ranking = ranking or HostRanking()
    present = np.unique(labels)
    directions: dict[str, FloatArray] = {}
    galleries = {name: [points[name]] for name in ("audio", "visual", "both") if name in points}
    if "audio" in points and "visual" in points:
        galleries["both"] = [points["audio"], points["visual"]]
        for query, gallery in (("audio", "visual"), ("visual", "audio")):
            directions[f"{query}_{gallery}"] = ranking.among([points[query]], [points[gallery]], labels, labels, True)
    for name, parts in galleries.items():
        texts = [points["classes"][present]] * len(parts)
        directions[f"text_{name}"] = ranking.among(texts, parts, present, labels, False)
    if distances is not None:
        some = max(1, BLOCK // len(labels))
        blocks = [present[start : start + some] for start in range(0, len(present), some)]
        directions["text_selected"] = np.concatenate(
            [ranking.by(distances[:, own].T, own[:, None] == labels[None]) for own in blocks]
        )
    result: dict[str, dict[str, float | None]] = {}
    for name, precision in directions.items():
        owners = present if name.startswith("text") else labels
        # A class with one clip has nothing left to find once its query is left out: no score, not a zero.
        valid = ~np.isnan(precision)
        by_class = class_recall(precision[valid], owners[valid], len(seen))
        s, u = mean_recall(by_class, seen), mean_recall(by_class, ~seen)
        result[name] = {
            key: None if value is None else 100.0 * value
            for key, value in (("seen", s), ("unseen", u), ("hm", harmonic_mean(s, u)))
        }
    return result
