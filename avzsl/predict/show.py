"""Predictions for people: a table on the terminal and a small page."""

from __future__ import annotations

import math

import jinja2
from rich.markup import escape
from rich.table import Table

from avzsl.predict.recognition import Prediction, Predictions

# Labels that the terminal shows of each clip.
SHOWN = 5


def nearness(distances: tuple[float, ...]) -> list[float]:
    """Return softmax(-distance) in percent: how much nearer one label is than the others, no calibrated probability."""
    nearest = min(distances)
    weights = [math.exp(nearest - d) for d in distances]
    return [100 * w / sum(weights) for w in weights]


def as_table(predictions: Predictions) -> Table:
    """Return a rich table with the nearest labels of each clip."""
    table = Table(title=f"Nearest phrases by {escape(predictions.method)}", title_justify="left")
    table.add_column("clip", overflow="fold")
    table.add_column("label")
    table.add_column("distance", justify="right")
    table.add_column("nearness", justify="right")
    for clip in predictions.clips:
        if clip.status != "ok":
            table.add_row(
                escape(clip.clip),
                f"[red]{escape(clip.status)}[/red]: {escape(clip.reason or '')}",
                "",
                "",
                end_section=True,
            )
            continue
        share = nearness(clip.distances)
        for place, index in enumerate(clip.order[:SHOWN]):
            name = escape(predictions.labels[index]) + (" (seen)" if predictions.seen[index] else "")
            last = place == min(SHOWN, len(clip.order)) - 1
            table.add_row(
                escape(clip.clip) if place == 0 else "", name, f"{clip.distances[index]:.3f}", f"{share[index]:.0f} %",
                end_section=last, style="bold" if place == 0 else None,
            )  # fmt: skip
    if predictions.random_weights:
        table.caption = "RANDOM WEIGHTS: the features come from untrained networks; these answers mean little."
    return table


def as_page(predictions: Predictions) -> str:
    """Return one HTML page without scripts that asks the network for nothing; every name is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("avzsl.predict"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    clips = [
        (clip, nearness(clip.distances) if clip.status == "ok" else [], _by_second(clip)) for clip in predictions.clips
    ]
    return environment.get_template("predictions.html.j2").render(p=predictions, clips=clips)


def _by_second(clip: Prediction) -> list[tuple[float, float, list[float]]]:
    return [(start, end, nearness(row)) for (start, end), row in zip(clip.seconds, clip.by_second, strict=True)]
