"""`avzsl multilabel`: VGGSound's test clips with all of their labels."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "multilabel",
        help="score runs on VGGSound with all labels of a clip (VGGSounder)",
        description="VGGSound's clips carry one label but hold several classes. With VGGSounder's labels a prediction "
        "that is among a clip's labels is right. Prints S, U, HM and ZSL as they are and so corrected, on the clips "
        "that VGGSounder labels: for all labels, those that are heard, seen, or both, with and without still pictures.",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="folder of a run: results/benchmarks/B/runs/METHOD/seed-N"
    )
    parser.add_argument(
        "--labels", type=Path, default=None, metavar="CSV",
        help="VGGSounder's table; default: that of the package (pip install 'avzsl[vggsounder]')",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print one table a run."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from avzsl.contracts.schemas import PREDICTIONS
    from avzsl.contracts.tables import read_table
    from avzsl.evaluation import METRICS, SHORT
    from avzsl.evaluation.multilabel import multilabel, read_labels
    from avzsl.results.places import RunPlaces
    from avzsl.results.zero_shot import not_zero_shot_of

    labels = read_labels(options.labels)
    console = Console(highlight=False, file=sys.stdout)
    for folder in options.runs:
        predictions = read_table(RunPlaces(Path(folder)).predictions, PREDICTIONS)
        title = f"{folder}, in percent: one label → every label of a clip"
        table = Table(title=escape(title), title_justify="left")
        for name in ("labels", "still pictures", "clips", *(SHORT[metric] for metric in METRICS)):
            table.add_column(name, justify="left" if name == "labels" else "right")
        for row in multilabel(predictions, labels):
            cells = [f"{_shown(row.plain[m])} → {_shown(row.multi[m])}" for m in METRICS]
            table.add_row(row.modality, "with" if row.static else "without", str(row.clips), *cells)
        table.caption, table.caption_justify = not_zero_shot_of(Path(folder)) or None, "left"
        console.print(table)
    return 0


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
