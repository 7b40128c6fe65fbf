"""Retrieval by example (CJME figure 5): a phrase, a sound or a picture, and what lies nearest to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from avzsl.evaluation.retrieval import average_precision
from avzsl.report.clipbook import ClipBook
from avzsl.report.results import BenchmarkFiles

HITS = 5
TEXT_QUERIES = 4
CLIP_QUERIES = 3
# Clips that are tried as queries: ranking all pairs of a large test set would take gigabytes.
RANKED_QUERIES = 400
# Distances that are held at once.
BLOCK = 2_000_000
# Margin between the entropies from which one modality is called dominant; the released code's value.
MARGIN = 0.1

DIRECTIONS = (
    ("text_audio", "Phrase → sound", "text", "audio"),
    ("text_visual", "Phrase → picture", "text", "visual"),
    ("audio_visual", "Sound → picture", "audio", "visual"),
    ("visual_audio", "Picture → sound", "visual", "audio"),
)


@dataclass(frozen=True)
class Hit:
    """One retrieved clip."""

    clip: int  # number in the clip book
    class_name: str
    right: bool
    shows: str  # audio or visual: which side of the clip was searched
    dominant: str  # audio, visual or both


@dataclass(frozen=True)
class Query:
    """One query and its nearest clips."""

    clip: int | None  # None: a phrase
    phrase: str
    shows: str
    precision: float  # average precision in percent
    hits: tuple[Hit, ...]


def dominant_modality(points: np.ndarray, other: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return for each clip -1 (`points` decide), 1 (`other` decide) or 0: whose class distribution is surer.

    `points`, `other` (clips, dim) and `classes` (classes, dim) lie in one space. The entropies of
    softmax(z · classes) are compared as CJME's attention target does (section 3; the released code takes this
    softmax and a margin of 0.1), among all classes of the test.
    """

    def entropy(z: np.ndarray) -> np.ndarray:
        logits = z @ classes.T
        logits = logits - logits.max(axis=1, keepdims=True)
        p = np.exp(logits)
        p /= p.sum(axis=1, keepdims=True)
        return -(p * np.log(np.maximum(p, 1e-12))).sum(axis=1)

    parts = _blocks(len(points), len(classes))
    gap = np.concatenate([entropy(points[part]) - entropy(other[part]) for part in parts])
    return np.where(gap < -MARGIN, -1, np.where(gap > MARGIN, 1, 0))


def _spread(order: np.ndarray, number: int) -> list[int]:
    """Take `number` entries evenly from the best to the worst: a gallery of successes alone would flatter."""
    if len(order) <= number:
        return [int(i) for i in order]
    return [int(order[i]) for i in np.linspace(0, len(order) - 1, number).round().astype(int)]


def _leaning(sides: dict[str, np.ndarray], clips: int) -> np.ndarray:
    """Return -1 (sound), 0 or 1 (picture) a clip; a method of one modality leans to it."""
    width = sides["classes"].shape[1]
    if all(key in sides and sides[key].shape[1] == width for key in ("audio", "visual")):
        return dominant_modality(sides["audio"], sides["visual"], sides["classes"])
    return np.full(clips, ("audio" not in sides) - ("visual" not in sides))


def gallery(benchmark: BenchmarkFiles, method: str, book: ClipBook) -> list[dict[str, Any]] | None:
    """Return queries and hits of the first seed of one method by direction; None if it has no learnt embeddings.

    Queries are unseen classes and their clips, evenly from the best to the worst average precision; the gallery is
    all test clips, without the query itself.
    """
    run = benchmark.runs(method)[0]
    arrays, header = run.scores
    sides: dict[str, np.ndarray] = {
        key: arrays[key].astype(np.float64) for key in ("audio", "visual", "classes") if key in arrays
    }
    if "classes" not in sides or len(sides) == 1:
        return None
    ids, names = header["clip_ids"], header["class_names"]
    truth_of = dict(zip(run.predictions["clip_id"], run.predictions["class_name"], strict=True))
    number = {name: index for index, name in enumerate(names)}
    truth = np.array([number[truth_of[clip]] for clip in ids])
    unseen = np.flatnonzero(np.asarray(header["seen"]) == 0)
    present = np.array([c for c in unseen if (truth == c).any()], dtype=int)
    queries_of_clips = np.flatnonzero(np.isin(truth, present))
    if len(queries_of_clips) > RANKED_QUERIES:
        queries_of_clips = queries_of_clips[np.linspace(0, len(queries_of_clips) - 1, RANKED_QUERIES).astype(int)]
    leaning = _leaning(sides, len(ids))
    phrases = dict(zip(benchmark.catalog_classes["class_name"], benchmark.catalog_classes["phrase"], strict=True))
    result = []
    for key, title, source, target in DIRECTIONS:
        is_text = source == "text"
        asked = "classes" if is_text else source
        # A method may embed one modality alone, or each in a space of its own.
        if not {asked, target} <= sides.keys() or sides[asked].shape[1] != sides[target].shape[1]:
            continue
        rows = present if is_text else queries_of_clips
        wanted = truth[rows] if not is_text else rows
        points = sides["classes"][rows] if is_text else sides[source][rows]
        own = None if is_text else rows
        precision = np.concatenate(
            [_precision(part, points, sides[target], wanted, truth, own) for part in _blocks(len(rows), len(truth))]
        )
        valid = np.flatnonzero(~np.isnan(precision))
        best_first = valid[np.argsort(-precision[valid], kind="stable")]
        queries = []
        for q in _spread(best_first, TEXT_QUERIES if is_text else CLIP_QUERIES):
            distances = _distances(slice(q, q + 1), points, sides[target], own)[0]
            nearest = np.argsort(distances, kind="stable")[:HITS]
            hits = tuple(
                Hit(
                    book.number(benchmark, ids[i], names[truth[i]], preview=rank), names[truth[i]],
                    bool(truth[i] == wanted[q]), target, ("audio", "both", "visual")[leaning[i] + 1],
                )
                for rank, i in enumerate(nearest)
                if np.isfinite(distances[i])
            )  # fmt: skip
            name = names[wanted[q]]
            clip = None if is_text else book.number(benchmark, ids[rows[q]], name, preview=0)
            queries.append(Query(clip, phrases.get(name) or name, source, 100 * float(precision[q]), hits))
        mean = (run.record.retrieval or {}).get(key) or {}
        result.append({"key": key, "title": title, "queries": queries, "map": mean})
    return result


def _blocks(queries: int, clips: int) -> list[slice]:
    """Return the queries in parts whose distances to all clips or classes take some ten megabytes."""
    some = max(1, BLOCK // max(clips, 1))
    return [slice(start, min(start + some, queries)) for start in range(0, queries, some)] or [slice(0, 0)]


def _distances(part: slice, points: np.ndarray, gallery: np.ndarray, own: np.ndarray | None) -> np.ndarray:
    """Return the distances of some queries to all clips, infinite to the clip that a query is itself (`own`)."""
    distances: np.ndarray = cdist(points[part], gallery)
    if own is not None:
        distances[np.arange(len(distances)), own[part]] = np.inf
    return distances


def _precision(
    part: slice, points: np.ndarray, gallery: np.ndarray, wanted: np.ndarray, truth: np.ndarray, own: np.ndarray | None
) -> np.ndarray:
    relevant = wanted[part][:, None] == truth[None]
    if own is not None:
        relevant[np.arange(len(relevant)), own[part]] = False
    return average_precision(_distances(part, points, gallery, own), relevant)


def leaning_table(benchmark: BenchmarkFiles) -> list[dict[str, Any]]:
    """Return, per method with learnt embeddings, how many test clips lean to sound, picture or neither, and accuracy there."""
    rows = []
    for method in benchmark.config.methods:
        run = benchmark.runs(method)[0]
        arrays, header = run.scores
        widths = {arrays[key].shape[1] if key in arrays else 0 for key in ("audio", "visual", "classes")}
        if 0 in widths or len(widths) > 1:  # only where both modalities share a space with the classes
            continue
        leaning = dominant_modality(*(arrays[key].astype(np.float64) for key in ("audio", "visual", "classes")))
        table = run.predictions.set_index("clip_id").loc[header["clip_ids"]]
        right = (table["predicted"] == table["class_name"]).to_numpy()
        groups = []
        for value, title in ((-1, "sound"), (1, "picture"), (0, "neither")):
            chosen = leaning == value
            accuracy = 100 * float(right[chosen].mean()) if chosen.any() else None
            groups.append(
                {"title": title, "clips": int(chosen.sum()), "share": 100 * float(chosen.mean()), "accuracy": accuracy}
            )
        rows.append({"method": method, "groups": groups})
    return rows
