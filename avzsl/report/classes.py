"""Which classes are recognised, and what the others are taken for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from avzsl.evaluation.hits import by_class, collect_hits
from avzsl.report.figures import Figure, heatmap, labels
from avzsl.report.results import BenchmarkFiles

# Beyond this many classes a confusion matrix is drawn for the most confused ones only, and says so.
CONFUSION_CLASSES = 80
SWALLOWERS = 3


def all_predictions(benchmark: BenchmarkFiles, method: str) -> pd.DataFrame:
    """Return the predictions of all seeds of one method, one below the other."""
    return pd.concat([run.predictions for run in benchmark.runs(method)], ignore_index=True)


def class_accuracy(benchmark: BenchmarkFiles) -> list[dict[str, Any]]:
    """Return one row a test class: clips and their sources, and per method the accuracy (percent, mean over seeds) and the ZSL accuracy."""
    rows: dict[str, dict[str, Any]] = {}
    for method in benchmark.config.methods:
        hits = collect_hits([run.predictions for run in benchmark.runs(method)], benchmark.sources)
        clips = np.bincount(hits.classes, minlength=len(hits.names))
        gzsl, zsl = (100 * by_class(values, hits).mean(axis=1) for values in (hits.gzsl, hits.zsl))
        for at, name in enumerate(hits.names):
            unseen = bool(hits.is_unseen[at])
            row = rows.setdefault(
                name,
                {
                    "name": name, "subset": "test_unseen" if unseen else "test_seen", "clips": int(clips[at]),
                    "sources": int(hits.sources_of_class[at]), "methods": {},
                },
            )  # fmt: skip
            row["methods"][method] = {"gzsl": float(gzsl[at]), "zsl": float(zsl[at]) if unseen else None}
    return sorted(rows.values(), key=lambda row: (row["subset"] != "test_unseen", row["name"]))


def confusion_figure(benchmark: BenchmarkFiles, method: str) -> Figure | None:
    """Return what unseen clips are taken for when only unseen classes are candidates, in percent of the class's clips."""
    table = all_predictions(benchmark, method)
    table = table[table["subset"] == "test_unseen"]
    if table.empty:
        return None
    shares = pd.crosstab(table["class_name"], table["predicted_zsl"], normalize="index") * 100
    names = sorted(set(shares.index) | set(shares.columns))
    shares = shares.reindex(index=names, columns=names, fill_value=0.0)
    shown = names
    note = ""
    if len(names) > CONFUSION_CLASSES:
        right = pd.Series(np.diag(shares.to_numpy()), index=names)
        shown = sorted(right.sort_values().index[:CONFUSION_CLASSES])
        note = f" Drawn: the {CONFUSION_CLASSES} of {len(names)} classes with the lowest accuracy."
    drawn = shares.loc[shown, shown]
    ticks = labels(shown)
    off = shares.to_numpy().copy()
    np.fill_diagonal(off, 0)
    order = np.dstack(np.unravel_index(np.argsort(-off, axis=None)[:15], off.shape))[0]
    rows = [[names[i], names[j], f"{off[i, j]:.1f}"] for i, j in order if off[i, j] > 0]
    size = 14 if len(shown) > 40 else 22
    return Figure(
        f"confusion-{benchmark.name}-{method}", f"Confusion of the unseen classes, {method}",
        f"Rows: true class; columns: predicted among unseen classes only (ZSL), all seeds together.{note}",
        [heatmap(drawn.to_numpy(), ticks, ticks, "%")],
        {
            "xaxis": {"tickangle": -45, "automargin": True, "type": "category", "tickfont": {"size": 10}, "showgrid": False},
            "yaxis": {"autorange": "reversed", "automargin": True, "type": "category", "tickfont": {"size": 10}, "showgrid": False},
        },
        height=max(340, 190 + size * len(shown)),
        width=max(520, 300 + 2 * size * len(shown)), header=["true class", "most often taken for", "percent of its clips"], rows=rows,
    )  # fmt: skip


def swallowers(benchmark: BenchmarkFiles, method: str) -> list[dict[str, Any]]:
    """Return for each unseen class how many of its clips go to seen classes when all are candidates, and to which."""
    table = all_predictions(benchmark, method)
    seen = set(benchmark.classes.loc[benchmark.classes["role"].isin(("train", "val_unseen")), "class_name"])
    rows = []
    for name, group in table[table["subset"] == "test_unseen"].groupby("class_name"):
        taken = group.loc[group["predicted"].isin(seen), "predicted"].value_counts()
        rows.append(
            {
                "name": name, "lost": 100 * taken.sum() / len(group),
                "to": [(other, 100 * count / len(group)) for other, count in taken.head(SWALLOWERS).items()],
            }
        )  # fmt: skip
    return sorted(rows, key=lambda row: -row["lost"])
