"""`avzsl verify`: does every score of a bundle follow from what it holds?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "verify",
        help="compute every score of a bundle once more",
        description="Check every file of bundles against its hash, and compute every score of every run from predictions and "
        "distances. Nothing of a bundle is executed or unpacked outside a temporary folder.",
    )
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Verify each bundle and print its scores."""
    from avzsl.evaluation import SHORT
    from avzsl.share import opened

    for path in options.bundles:
        with opened(path) as bundle:
            for done in bundle.runs:
                shown = ", ".join(f"{SHORT[m]} {'none' if v is None else f'{v:.2f}'}" for m, v in done.scores.items())
                task = bundle.tasks[done.benchmark].hash[:12]
                sys.stdout.write(f"{path}: {done.benchmark} {done.method} seed {done.seed}: {shown} (task {task})\n")
            sys.stdout.write(f"{path}: all {len(bundle.runs)} runs verified\n")
    return 0
