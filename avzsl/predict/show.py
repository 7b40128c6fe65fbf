"""Predictions for people: a table on the terminal and a small page."""

from __future__ import annotations

import math

import jinja2
from rich.markup import escape
from rich.table import Table

from avzsl.predict.recognition import Prediction, Predictions

# Labels that the terminal shows of each clip.
SHOWN = 5


def nearness(distances: tuple[float, ...], sharpness: float = 1.0) -> list[float]:
    """Return softmax(-sharpness x distance) in percent: how much nearer one label is than others, no calibrated probability."""
    nearest = min(distances)
    weights = [math.exp(sharpness * (nearest - d)) for d in distances]
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
        share = nearness(clip.distances, predictions.sharpness)
        for place, index in enumerate(clip.order[:SHOWN]):
            name = escape(predictions.labels[index]) + (" (seen)" if predictions.seen[index] else "")
            last = place == min(SHOWN, len(clip.order)) - 1
            said = [part for part in (_evidence(clip), clip.reason) if part] if last else []
            table.add_row(
                escape(clip.clip) if place == 0 else "", name, f"{clip.distances[index]:.3f}", f"{share[index]:.0f} %",
                end_section=last and not said, style="bold" if place == 0 else None,
            )  # fmt: skip
            if said:
                table.add_row("", escape("; ".join(said)), "", "", end_section=True, style="dim")
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
        (
            clip,
            nearness(clip.distances, predictions.sharpness) if clip.status == "ok" else [],
            _by_second(clip, predictions.sharpness),
            _evidence(clip),
        )
        for clip in predictions.clips
    ]
    return environment.get_template("predictions.html.j2").render(p=predictions, clips=clips)


def _evidence(clip: Prediction) -> str:
    """Return what carried the decision: `heard: Bark 0.90, Dog 0.80; seen: beagle 0.60`."""
    return "; ".join(
        f"{how}: {', '.join(f'{label} {p:.2f}' for label, p in found)}" for how, found in clip.evidence.items() if found
    )


def _by_second(clip: Prediction, sharpness: float) -> list[tuple[float, float, list[float]]]:
    return [
        (start, end, nearness(row, sharpness)) for (start, end), row in zip(clip.seconds, clip.by_second, strict=True)
    ]
