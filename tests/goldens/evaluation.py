"""Calibration, seen-unseen curves, retrieval and their numbers on made-up distances."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from avzsl.evaluation import Calibration, Folds, Hits, compare, compare_folds, sample
from avzsl.evaluation.retrieval import retrieve
from tests.goldens.digest import digest

BETAS = (-1.0, -0.25, 0.0, 0.2, 0.5, 0.75, 1.25, 3.0)


def _case(seed: int, step: float | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    clips, seen = 240, np.asarray([True] * 9 + [False] * 6)[rng.permutation(15)]
    labels = np.concatenate([rng.integers(0, 13, clips - 20), np.full(20, 13)])  # the last class has no clip
    distances = 2 + rng.standard_normal((clips, 15))
    distances[np.arange(clips), labels] -= 1.0
    distances[:, seen] -= 0.6
    if step is not None:  # many ties
        distances = np.round(distances / step) * step
    return distances.astype(np.float32), labels, seen


def _hits(seed: int, shift: float) -> Hits:
    """Return right and wrong of two training seeds; sources of a class hold 1 to 4 clips."""
    rng = np.random.default_rng(seed)
    source = np.repeat(np.arange(90), rng.integers(1, 5, 90))
    classes = source % 6
    right = (rng.random((len(source), 3)) < (0.3 + 0.08 * classes + shift)[:, None]).astype(float)
    unseen = np.asarray([False, True, False, True, True, False])
    zsl = right * unseen[classes][:, None]
    return Hits(right, zsl, classes, tuple("abcdef"), unseen, source)


def intervals() -> dict[str, Any]:
    """Return intervals over clips, over seeds too, over folds, and comparisons."""
    a, b = (sample(_hits(24, shift), 300) for shift in (0.15, 0.0))
    folds = [Folds({"hm": np.random.default_rng(s).normal(30, 4, 7)}, 0.2) for s in (25, 26)]
    found: dict[str, Any] = {"folds": asdict(compare_folds("a", folds[0], "b", folds[1], "hm"))}
    for metric in ("seen", "unseen", "hm", "zsl"):
        over = {
            name: asdict(i) if i else None for name, i in (("clips", a.over_clips(metric)), ("total", a.total(metric)))
        }
        found[metric] = {**over, "few": list(a.few[metric]), "versus": asdict(compare("a", a, "b", b, metric))}
    found["fold"] = asdict(folds[0].over_folds("hm") or 0)
    return found


def values() -> dict[str, Any]:
    """Return every number of the evaluation for two sets of distances, one of them full of ties."""
    found: dict[str, Any] = {"intervals": intervals()}
    for name, seed, step in (("plain", 21, None), ("ties", 22, 0.25)):
        distances, labels, seen = _case(seed, step)
        c = Calibration(distances, labels, seen)
        rng = np.random.default_rng(23)
        points = {"audio": rng.standard_normal((len(labels), 5)), "visual": rng.standard_normal((len(labels), 5))}
        points["classes"] = rng.standard_normal((15, 5))
        points["visual"] += 1.5 * points["classes"][labels]
        points["audio"] += 0.7 * points["classes"][labels]
        found[name] = {
            "at": [asdict(c.at(beta)) for beta in BETAS],
            "best": asdict(c.best()),
            "exact": asdict(c.best_exact()),
            "area": c.area(),
            "predicted": {str(beta): digest(c.predict(beta)) for beta in BETAS},
            "unseen": digest(c.predict_unseen()),
            "recall": [None if np.isnan(r) else float(r) for r in c.recall(0.5)],
            "empty": c.empty.tolist(),
            "retrieval": retrieve(points, labels, seen, distances),
            "retrieval_of_joined": retrieve({"both": points["visual"], "classes": points["classes"]}, labels, seen),
        }
    return found
