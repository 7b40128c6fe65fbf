"""`avzsl report`: write the page once more."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from avzsl.cli import add_project


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "report",
        help="write the page of a finished project once more",
        description="Write the page from the files of a results folder, as the rule `report` does: after an update of avzsl, "
        "or to another place. Links on the page lead to where it is written.",
    )
    parser.add_argument("--out", type=Path, default=None, help="file; default: report/index.html of the results folder")
    add_project(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the page and say where it is."""

    from avzsl.report import build
    from avzsl.results.places import Places
    from avzsl.results.project import find_project
    from avzsl.runtime.seals import reseal

    project = find_project(options.config, options.results)
    results = Path(project.config.results)
    out = options.out or Places(results).page
    build(project, results, out)
    reseal(out)
    sys.stdout.write(f"{out}\n")
    return 0
