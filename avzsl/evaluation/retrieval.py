"""Retrieval in the common space (CJME section 5): mean average precision, leave-one-out, averaged over classes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from avzsl.evaluation.calibration import BoolArray, FloatArray, IntArray, class_recall, harmonic_mean, mean_recall

# Queries ranked at once: bounds memory at QUERIES x gallery distances.
QUERIES = 256


def _distances(queries: FloatArray, gallery: FloatArray) -> NDArray[np.float64]:
    """Return Euclidean distances (Q, G), in float64 because the matrix-product form cancels."""
    q, g = queries.astype(np.float64), gallery.astype(np.float64)
    squared = (q**2).sum(1)[:, None] + (g**2).sum(1)[None] - 2 * q @ g.T
    return np.sqrt(np.maximum(squared, 0))


def average_precision(distances: FloatArray, relevant: BoolArray) -> FloatArray:
    """Return the average precision of each query, (Q,): mean precision at the ranks of its relevant items.

    `distances` (Q, G), infinite for items outside a query's gallery; `relevant` (Q, G). NaN without relevant items.
    Ties are ranked by position.
    """
    order = np.argsort(distances, axis=1, kind="stable")
    hits = np.take_along_axis(relevant, order, axis=1)
    ranks = np.arange(1, distances.shape[1] + 1)
    precision = np.cumsum(hits, axis=1) / ranks
    with np.errstate(invalid="ignore"):
        return (precision * hits).sum(1) / hits.sum(1)


def _per_query(
    queries: list[FloatArray], gallery: list[FloatArray], query_labels: IntArray, labels: IntArray, leave_out: bool
) -> FloatArray:
    result = np.empty(len(query_labels))
    for start in range(0, len(query_labels), QUERIES):
        part = slice(start, start + QUERIES)
        distances = np.sum([_distances(q[part], g) for q, g in zip(queries, gallery, strict=True)], axis=0)
        relevant = query_labels[part, None] == labels[None]
        if leave_out:
            own = np.arange(len(distances))
            distances[own, start + own] = np.inf
            relevant[own, start + own] = False
        result[part] = average_precision(distances, relevant)
    return result


def retrieve(
    points: Mapping[str, FloatArray], labels: IntArray, seen: BoolArray, distances: FloatArray | None = None
) -> dict[str, dict[str, float | None]]:
    """Return mAP in percent of every direction of the CJME paper that the method allows: `seen`, `unseen` and `hm` each.

    `points` holds `classes` (C, dim) and, in the same space, `audio` and `visual` (clips, dim), one of them, or `both`
    (clips, dim) for a method that embeds joined modalities; it may be empty. `distances` (clips, C), uncalibrated, are
    the method's own: `text_selected` ranks by them (CJME's "T -> A or V"). `labels` (clips,) index classes; `seen` (C,).
    The gallery is always all test clips, seen and unseen; a clip is never in its own gallery. `text_both` ranks by the
    sum of both distances (eq. 6). The mean is first over a class's queries, then over classes.
    """
    present = np.unique(labels)
    directions: dict[str, FloatArray] = {}
    galleries = {name: [points[name]] for name in ("audio", "visual", "both") if name in points}
    if "audio" in points and "visual" in points:
        galleries["both"] = [points["audio"], points["visual"]]
        for query, gallery in (("audio", "visual"), ("visual", "audio")):
            directions[f"{query}_{gallery}"] = _per_query([points[query]], [points[gallery]], labels, labels, True)
    for name, parts in galleries.items():
        texts = [points["classes"][present]] * len(parts)
        directions[f"text_{name}"] = _per_query(texts, parts, present, labels, False)
    if distances is not None:
        relevant = present[:, None] == labels[None]
        directions["text_selected"] = average_precision(distances.T[present].astype(np.float64), relevant)
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
