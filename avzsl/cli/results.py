"""`avzsl results`: the results table on the terminal."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from avzsl.cli import add_project


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "results",
        help="print the results table of finished runs",
        description="Print the table of every finished run: S, U, HM and ZSL with their spread over seeds, chance beside them; "
        "below it the runs that are missing.",
    )
    add_project(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the table."""

    from avzsl.report.summary import collect_finished, terminal_table
    from avzsl.results.project import find_project

    project = find_project(options.config, options.results)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    summary, missing = collect_finished(project, Path(project.config.results))
    sys.stdout.write("no run is finished yet\n" if summary is None else terminal_table(summary, width))
    for line in missing:
        sys.stdout.write(f"missing: {line}\n")
    return 0
