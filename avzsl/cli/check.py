"""`avzsl check`: is the configuration right?"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avzsl.config.load import Project


def check_project(project: Project) -> None:
    """Check what a project names beyond its own files: splits, weights, tables, folders, classes.

    Raises ConfigError, one line with file and key. Snakemake calls it once, before the DAG is made.
    """
    from avzsl.config.check import check_machine
    from splits.facts import check_split

    for name in dict.fromkeys(benchmark.dataset for benchmark in project.benchmarks.values()):
        for split, config in project.dataset(name).splits.items():
            check_split(f"{project.file('datasets', name)}: splits.{split}", config)
    check_machine(project)


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "check",
        help="check a configuration and everything it names",
        description="Check a configuration and every data set, feature set and method it names, without building "
        "anything: keys, values, and whether weights, tables, folders and classes are there. Prints what would be compared with what, or one line with the file and key that is wrong.",
    )
    parser.add_argument("config", nargs="?", default="config/config.yaml", help="default: %(default)s")
    parser.add_argument("--config", dest="named", metavar="FILE", help="the same, as other commands take it")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check the configuration and say what it means."""
    from avzsl.config.load import load_project

    project = load_project(options.named or options.config)
    check_project(project)
    for benchmark in project.benchmarks.values():
        sys.stdout.write(
            f"{benchmark.name}: data set {benchmark.dataset}, split {benchmark.split}, features {benchmark.features}, "
            f"preset {benchmark.preset}, methods {', '.join(benchmark.methods)}, seeds {', '.join(map(str, benchmark.seeds))}\n"
        )
    return 0
