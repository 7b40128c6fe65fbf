"""`avzsl check`: is the configuration right?"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from avzsl.config.load import load_project


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "check",
        help="check a configuration and everything it names",
        description="Check a configuration and every data set, feature set and method it names, without building "
        "anything. Prints what would be compared with what, or one line with the file and key that is wrong.",
    )
    parser.add_argument("config", nargs="?", default="config/config.yaml", help="default: %(default)s")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check the configuration and say what it means."""
    from splits.catalogs import check_options

    project = load_project(options.config)
    for name in sorted({benchmark.dataset for benchmark in project.benchmarks.values()}):
        check_options(name, project.dataset(name))
    for benchmark in project.benchmarks.values():
        sys.stdout.write(
            f"{benchmark.name}: data set {benchmark.dataset}, split {benchmark.split}, features {benchmark.features}, "
            f"preset {benchmark.preset}, methods {', '.join(benchmark.methods)}, seeds {', '.join(map(str, benchmark.seeds))}\n"
        )
    return 0
