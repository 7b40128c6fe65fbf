"""`avzsl diff A B`: what changed between two rebuilds."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


def add_parser(subparsers: Any) -> None:
    """Add the command to the `avzsl` parser."""
    parser = subparsers.add_parser("diff", help="compare the clips and scores of two results folders")
    parser.add_argument("a", type=Path, help="results folder")
    parser.add_argument("b", type=Path, help="results folder")
    parser.add_argument("--csv", type=Path, default=None, help="write the clips that changed to this file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what changed; 0 also if much did."""
    from rich.console import Console
    from rich.markup import escape

    from avzsl.contracts.atomic import replacing
    from avzsl.inspect.diff import diff, not_zero_shot

    found = diff(arguments.a, arguments.b)
    console = Console(highlight=False)
    if arguments.csv is not None:
        with replacing(arguments.csv) as temporary:
            found.changed.to_csv(temporary, index=False)
    counts = found.changed.groupby(["dataset", "a", "b"]).size().rename("clips").reset_index()
    console.print(f"{len(found.changed)} clips changed" + (f", listed in {arguments.csv}" if arguments.csv else ""))
    if len(counts):
        console.print(_table(counts.sort_values("clips", ascending=False)))
    if len(found.scores):
        names = ["S", "U", "HM", "ZSL"]
        mean = found.scores.groupby(["benchmark", "method", "list"], sort=True)
        columns = ["clips_a", "clips_b", *(f"{name}_{part}" for name in names for part in ("a", "b", "change"))]
        console.print("scores in percent, mean over seeds; common: on the clips that both rebuilds tested")
        console.print(_table(mean[columns].mean().reset_index()))
        for (benchmark, folder), words in not_zero_shot(
            arguments.a, arguments.b, found.scores["benchmark"].unique()
        ).items():
            console.print(escape(f"{benchmark} in {folder}: {words}"))
    else:
        console.print("no run is in both folders, so there are no scores to compare")
    return 0


def _table(frame: pd.DataFrame) -> Table:
    from rich.table import Table

    table = Table()
    for name in frame.columns:
        table.add_column(str(name), justify="left" if frame[name].dtype == object else "right")
    for row in frame.itertuples(index=False, name=None):
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v).replace("[", "\\[") for v in row))
    return table
