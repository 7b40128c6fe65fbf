"""Right or wrong per test clip: the one way from predictions to S, U, HM and ZSL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from avzsl.evaluation.calibration import BoolArray, FloatArray, IntArray, harmonic_mean

METRICS = ("seen", "unseen", "hm", "zsl")
# As tables and papers head their columns.
SHORT = {"seen": "S", "unseen": "U", "hm": "HM", "zsl": "ZSL"}


@dataclass(frozen=True)
class Hits:
    """Right or wrong per test clip and training seed.

    `gzsl` (clips, seeds) and `zsl` (clips, seeds; 0 for seen clips) hold 1.0 for a right answer. `classes` (clips,) is
    the number of the clip's class in `names`, `is_unseen` (classes,) whether that is a test-unseen one, `sources`
    (clips,) the number of its source: clips of one source are not independent of each other.
    """

    gzsl: FloatArray
    zsl: FloatArray
    classes: IntArray
    names: tuple[str, ...]
    is_unseen: BoolArray
    sources: IntArray

    @cached_property
    def sources_of_class(self) -> IntArray:
        """Number of different sources of each class, (classes,)."""
        pairs = np.unique(np.stack([self.classes, self.sources]), axis=1)
        return np.bincount(pairs[0], minlength=len(self.names))


def collect_hits(predictions: Sequence[pd.DataFrame], sources: Mapping[str, Any] | None = None) -> Hits:
    """Align the PREDICTIONS tables of several seeds of one benchmark by clip.

    `sources` gives the source of each clip_id (CLIPS: source_id); without it, or for a clip it does not hold, every
    clip is its own. Raises ValueError if the runs were tested on different clips.
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
    of_clip = sources or {}
    # A pair, so that no source can be taken for a clip of the same name.
    keys = [(clip in of_clip, of_clip.get(clip, clip)) for clip in first["clip_id"]]
    numbers, _ = pd.factorize(pd.Series(keys, dtype=object))
    return Hits(
        np.stack(gzsl, axis=1), np.stack(zsl, axis=1), classes, tuple(str(n) for n in names), is_unseen, numbers
    )


def by_class(values: FloatArray, hits: Hits) -> FloatArray:
    """Return the mean of `values` (clips, k) over the clips of each class: (classes, k)."""
    sums = np.zeros((len(hits.names), values.shape[1]))
    np.add.at(sums, hits.classes, values)
    return sums / np.bincount(hits.classes, minlength=len(hits.names))[:, None]


def scores(hits: Hits) -> dict[str, FloatArray]:
    """Return S, U, HM and ZSL in percent, each (seeds,): means over classes of per-class accuracy (AVCA section 4.1).

    A class without test clips takes part in no mean (docs/fidelity.md on empty classes). Without any seen or any
    unseen class a metric is NaN.
    """
    return means_over_classes(by_class(hits.gzsl, hits), by_class(hits.zsl, hits), hits.is_unseen)


def means_over_classes(gzsl: FloatArray, zsl: FloatArray, is_unseen: BoolArray) -> dict[str, FloatArray]:
    """Return S, U, HM, ZSL in percent of accuracies (..., classes, seeds): each (..., seeds)."""
    empty = np.full(gzsl.shape[:-2] + gzsl.shape[-1:], np.nan)
    seen = 100 * gzsl[..., ~is_unseen, :].mean(axis=-2) if (~is_unseen).any() else empty
    unseen = 100 * gzsl[..., is_unseen, :].mean(axis=-2) if is_unseen.any() else empty
    only = 100 * zsl[..., is_unseen, :].mean(axis=-2) if is_unseen.any() else empty
    return {"seen": seen, "unseen": unseen, "hm": harmonic_mean(seen, unseen), "zsl": only}


def table_scores(predictions: pd.DataFrame) -> dict[str, float | None]:
    """Return S, U, HM and ZSL in percent of one PREDICTIONS table; None where no class has a clip."""
    values = scores(collect_hits([predictions]))
    return {metric: None if np.isnan(value[0]) else float(value[0]) for metric, value in values.items()}
