"""`avzsl merge`: one table and page of several bundles."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "merge",
        help="make one table and page of several people's bundles",
        description="Verify bundles and write leaderboard.csv and leaderboard.html. Different test sets are different tables; where "
        "data set, split and classes are the same, the scores on the clips that all of them test stand beside.",
    )
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--out", type=Path, default=Path("leaderboard"), metavar="FOLDER", help="default: %(default)s")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write table and page and say where they are."""
    import collections
    import dataclasses

    from avzsl.share import merge, opened

    with contextlib.ExitStack() as stack:
        bundles = {path: stack.enter_context(opened(path)) for path in options.bundles}
        # Two people's bundles of one name are told apart by their folders.
        often = collections.Counter(bundle.name for bundle in bundles.values())
        named = [
            dataclasses.replace(bundle, name=path.with_suffix("").as_posix()) if often[bundle.name] > 1 else bundle
            for path, bundle in bundles.items()
        ]
        table = merge(named, options.out)
    sys.stdout.write(
        f"{len(table)} rows of {table['task'].nunique()} test sets: {options.out / 'leaderboard.csv'}, "
        f"{options.out / 'leaderboard.html'}\n"
    )
    return 0
