"""Plotly figures as plain JSON: the page draws them, so nothing here imports plotly.

Colours are names that the page resolves for its light or dark theme: `c0` ... `c7` the palette (Okabe and Ito's,
safe for colour-blind readers), `fg`, `muted`, `grid`, `good`, `bad`. Lines also differ in dash and markers in shape,
for print in black and white.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "diamond", "square", "cross", "triangle-up", "x", "star", "hexagon")
COLOURS = 8


def colour(index: int) -> str:
    """Return the palette name of the index-th series."""
    return f"c{index % COLOURS}"


def dash(index: int) -> str:
    """Return the line style of the index-th series."""
    return DASHES[index % len(DASHES)]


def symbol(index: int) -> str:
    """Return the marker of the index-th series."""
    return SYMBOLS[index % len(SYMBOLS)]


def rounded(values: Any, digits: int = 3) -> list[Any]:
    """Return numbers as JSON can hold them, NaN as null, shortened to keep the page small."""
    array = np.asarray(values, dtype=float)
    # `+ 0.0` turns -0.0 into 0.0.
    return [None if not np.isfinite(x) else round(float(x), digits) + 0.0 for x in array]


@dataclass(frozen=True)
class Figure:
    """One figure of the page: what to draw, what it says, and the same as a table for whoever cannot see it."""

    id: str
    title: str
    caption: str
    data: list[dict[str, Any]]
    layout: dict[str, Any] = field(default_factory=dict)
    height: int = 360
    width: int | None = None  # at most, in pixels; None: as wide as its place
    header: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()

    @property
    def spec(self) -> dict[str, Any]:
        return {"data": self.data, "layout": self.layout, "height": self.height}


def line(x: Any, y: Any, name: str, series: int, **more: Any) -> dict[str, Any]:
    """Return a line of the series' colour and dash."""
    return {
        "type": "scatter", "mode": "lines", "x": rounded(x), "y": rounded(y), "name": name,
        "line": {"color": colour(series), "dash": dash(series), "width": 2},
    } | more  # fmt: skip


def axis(title: str, **more: Any) -> dict[str, Any]:
    """Return an axis with a title."""
    return {"title": {"text": title}} | more


def heatmap(values: np.ndarray, rows: Sequence[str], columns: Sequence[str], unit: str) -> dict[str, Any]:
    """Return a heatmap trace of percentages, (rows, columns); Cividis reads alike for colour-blind readers."""
    return {
        "type": "heatmap", "z": [rounded(row, 1) for row in values], "x": list(columns), "y": list(rows),
        "colorscale": "Cividis", "zmin": 0, "zmax": 100, "xgap": int(len(columns) < 40), "ygap": int(len(rows) < 40),
        "hovertemplate": "true %{y}<br>predicted %{x}<br>%{z:.1f} " + unit + "<extra></extra>",
        "colorbar": {"title": {"text": unit}, "thickness": 12, "len": 200, "lenmode": "pixels", "y": 1, "yanchor": "top"},
    }  # fmt: skip


def short(name: str, length: int = 28) -> str:
    """Shorten a class name for an axis."""
    return name if len(name) <= length else name[: length - 1] + "…"


def labels(names: Sequence[str]) -> list[str]:
    """Return axis labels for names: shortened, still different, and safe from plotly's small HTML.

    Plotly reads a few tags in texts; a zero-width space after each '<' makes every name plain text to it.
    """
    result: list[str] = []
    taken: set[str] = set()
    for name in names:
        label = short(name)
        count = 2
        while label in taken:
            label, count = f"{short(name, 24)} ({count})", count + 1
        taken.add(label)
        result.append(plain(label))
    return result


def plain(text: str) -> str:
    """Make a text safe from plotly's small HTML (tags, entities and %{...} templates)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("%{", "% {")
