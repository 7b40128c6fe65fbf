"""How the audio network of the features was trained: its curve, and what it takes validation clips of seen classes for."""

from __future__ import annotations

from typing import Any

import numpy as np

from avzsl.report.figures import Figure, heatmap, labels, line
from avzsl.report.results import BenchmarkFiles

MOST = 40  # classes that are drawn, those that it knows least


def audio_network_figures(benchmark: BenchmarkFiles) -> list[Figure]:
    """Return curve and confusion (percent of a class's clips); none where no network was trained."""
    record = benchmark.audio_network
    return [] if record is None else [_curve(benchmark.name, record), _confusion(benchmark.name, record)]


def _curve(name: str, record: dict[str, Any]) -> Figure:
    curve, clips = record["curve"], record["clips"]
    epochs = [row["epoch"] for row in curve]
    accuracy = [100 * row["accuracy"] for row in curve]
    caption = (
        f"Trained on {clips['fit']} training clips of the {len(record['classes'])} seen classes, and on no other; "
        f"epoch {record['epoch']} is kept, the best on training clips of held-out sources. Weights {record['weights'][:12]}."
    )
    rows = [[row["epoch"], f"{row['loss']:.3f}", f"{100 * row['accuracy']:.1f}"] for row in curve]
    axes = {
        "xaxis": {"title": {"text": "epoch"}},
        "yaxis": {"title": {"text": "class accuracy, %"}, "rangemode": "tozero"},
    }
    return Figure(
        f"audio-network-{name}", "Audio network of the features", caption,
        [line(epochs, accuracy, "class accuracy on held-out training clips", 0)], axes,
        header=["epoch", "loss", "class accuracy"], rows=rows,
    )  # fmt: skip


def _confusion(name: str, record: dict[str, Any]) -> Figure:
    counts = np.asarray(record["confusion"], float)
    there = np.flatnonzero(counts.sum(1) > 0)
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    shown = np.sort(there[np.argsort(np.diag(shares)[there], kind="stable")][:MOST])
    ticks = labels([record["classes"][k] for k in shown])
    mean = float(np.diag(shares)[there].mean()) if len(there) else float("nan")
    return Figure(
        f"audio-network-confusion-{name}", "Audio network: validation clips of seen classes",
        f"Rows: true class; columns: the network's. Mean class accuracy {mean:.1f} % of {int(counts.sum())} clips"
        + ("." if len(shown) == len(there) else f"; drawn are the {MOST} classes of {len(there)} that it knows least."),
        [heatmap(shares[np.ix_(shown, shown)], ticks, ticks, "%")] if len(shown) else [],
        {"xaxis": {"tickangle": -45, "automargin": True, "type": "category"}, "yaxis": {"autorange": "reversed", "automargin": True, "type": "category"}},
        height=max(340, 190 + 18 * len(shown)), width=max(520, 300 + 36 * len(shown)),
        header=["class", "clips", "right, %"],
        rows=[[record["classes"][k], int(counts[k].sum()), f"{shares[k, k]:.1f}"] for k in there],
    )  # fmt: skip
