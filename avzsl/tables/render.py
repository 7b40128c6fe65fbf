"""A table as CSV for programs, Markdown and LaTeX for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "→": r"$\rightarrow$", "θ": r"$\theta$",
    "✓": r"$\checkmark$", "–": "--", "Δ": r"$\Delta$", "σ": r"$\sigma$",
}  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """A table as text: a caption, one heading a column, and rows; `labels` leading columns are not numbers."""

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    labels: int
    notes: Sequence[str] = ()


def to_csv(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return CSV; None becomes an empty cell, numbers have six digits."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(headings)
    for row in rows:
        writer.writerow(["" if v is None else f"{v:.6g}" if isinstance(v, float) else v for v in row])
    return stream.getvalue()


def to_markdown(grid: Grid) -> str:
    """Return a Markdown table with its caption above and its notes below."""
    plain = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (grid.headings, *grid.rows)]
    rule = ["---" if i < grid.labels else "---:" for i in range(len(grid.headings))]
    lines = [f"| {' | '.join(row)} |" for row in (plain[0], rule, *plain[1:])]
    return "\n\n".join([grid.caption, "\n".join(lines), *grid.notes]) + "\n"


def to_latex(grid: Grid, label: str) -> str:
    """Return a LaTeX table; it needs the packages booktabs and amssymb."""

    def line(cells: Sequence[str]) -> str:
        return " & ".join(escape(cell) for cell in cells) + r" \\"

    columns = "l" * grid.labels + "r" * (len(grid.headings) - grid.labels)
    body = [line(grid.headings), r"\midrule", *(line(row) for row in grid.rows)]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{escape(' '.join([grid.caption, *grid.notes]))}}}",
            rf"\label{{tab:{label}}}",
            r"\end{table}",
            "",
        ]
    )


def escape(text: str) -> str:
    """Return text that LaTeX prints as it stands."""
    return "".join(LATEX.get(character, character) for character in text)
