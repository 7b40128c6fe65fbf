"""`avzsl recompute`: do the numbers of a run follow from its files?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "recompute",
        help="check that every number of a run follows from its predictions and distances",
        description="Recompute every number of run.json from the predictions, distances and history beside it. Stops with "
        "the first number that differs, by file and name.",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="folder of a run: results/benchmarks/B/runs/METHOD/seed-N"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Recompute each run and print what came out."""
    from avzsl.evaluation import recompute
    from avzsl.results.zero_shot import not_zero_shot_of

    for folder in options.runs:
        result = recompute(Path(folder))
        shown = ", ".join(
            f"{name} {'none' if result[key] is None else format(result[key], '.2f')}"
            for key, name in (("seen", "S"), ("unseen", "U"), ("hm", "HM"), ("zsl", "ZSL"))
        )
        sys.stdout.write(f"{folder}: every number follows from the files: {shown}\n")
        if said := not_zero_shot_of(Path(folder)):
            sys.stdout.write(f"{folder}: {said}\n")
    return 0
