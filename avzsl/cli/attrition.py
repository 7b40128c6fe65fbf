"""`avzsl attrition`: what became of the listed clips."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from avzsl.cli import add_project


def add_parser(subparsers: Any) -> None:
    """Add the command to the `avzsl` parser."""
    parser = subparsers.add_parser("attrition", help="show what became of the listed clips, and why")
    parser.add_argument("dataset", help="data set")
    add_project(parser)
    parser.add_argument("--split", default=None, help="split whose subsets are shown; default: the data set's first")
    parser.add_argument("--limit", type=int, default=5, help="used clips under which a test class is named")
    parser.add_argument("--csv", type=Path, default=None, help="write the list to publish to this file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the report."""
    from rich.console import Console
    from rich.table import Table

    from avzsl.inspect.attrition import load_attrition, write_clip_list
    from avzsl.results.project import find_project

    project = find_project(arguments.config, arguments.results)
    dataset = project.dataset(arguments.dataset)
    split = arguments.split or next(iter(dataset.splits))
    report = load_attrition(Path(project.config.results), arguments.dataset, dataset.features, split, arguments.limit)
    console = Console(highlight=False)
    for frame in (report.by_subset, report.reasons):
        table = Table(*[str(name) for name in frame.columns])
        for row in frame.itertuples(index=False, name=None):
            table.add_row(*(printable(str(value)).replace("[", "\\[") for value in row))
        console.print(table)
    if len(report.low):
        names = ", ".join(f"{printable(str(row.class_name))} ({row.used})" for row in report.low.itertuples())
        console.print(f"test classes with fewer than {arguments.limit} used clips: {names}", markup=False)
    console.print(f"list of used clips: {report.snapshot}")
    if arguments.csv is not None:
        write_clip_list(arguments.csv, report)
        console.print(f"written to {arguments.csv}", markup=False)
    return 0


def printable(text: str) -> str:
    """Return a text with what a terminal would obey (colours, bells, cursor movements) replaced."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
