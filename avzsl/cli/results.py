"""`avzsl results`: the results table on the terminal."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from avzsl.config.load import load_project


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "results",
        help="print the results table of finished runs",
        description="Print the table of every finished run: S, U, HM and ZSL with their spread over seeds, chance beside them.",
    )
    parser.add_argument("--config", default="config/config.yaml", help="default: %(default)s")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the table."""
    from avzsl.report import collect, terminal_table

    project = load_project(options.config)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    sys.stdout.write(terminal_table(collect(project, Path(project.config.results)), width))
    return 0
