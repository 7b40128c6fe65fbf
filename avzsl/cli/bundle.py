"""`avzsl bundle`: results as one archive that anybody can verify."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "bundle",
        help="write results as one archive that anybody can verify",
        description="Write the finished runs of a results folder as one archive: configuration, hashes, lists of clips and classes, "
        "predictions, distances and versions; no media, features or models. Every score is computed once more first.",
    )
    parser.add_argument("results", nargs="?", default="results", help="results folder; default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("bundle.zip"), metavar="FILE", help="default: %(default)s")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the archive and say what is in it."""
    from avzsl.contracts.errors import ConfigError
    from avzsl.results.project import find_project
    from avzsl.share import write_bundle

    if options.out.exists():
        raise ConfigError(f"{options.out}: is there already; choose another name with --out")
    runs = write_bundle(find_project(None, options.results), options.out)
    sys.stdout.write(f"{options.out}: {len(runs)} runs, {options.out.stat().st_size / 1e6:.1f} MB\n")
    return 0
