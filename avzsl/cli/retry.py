"""`avzsl retry`: ask again for clips whose failure may pass."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from avzsl.cli import add_project
from avzsl.contracts.vocabulary import MEDIA_STATUS


def add_parser(subparsers: Any) -> None:
    """Add the command to the `avzsl` parser."""
    parser = subparsers.add_parser("retry", help="ask again for clips whose failure may pass")
    parser.add_argument("dataset", nargs="*", help="data sets; default: those of the configured benchmarks")
    add_project(parser)
    parser.add_argument(
        "--status", action="append", default=[], choices=[s for s in MEDIA_STATUS if s != "ok"],
        help="ask again for clips that ended so, permanent ones too; may be given several times",
    )  # fmt: skip
    parser.add_argument("--now", action="store_true", help="forget cool-downs and a stop first")
    parser.add_argument("--workers", type=int, default=4, help="clips at the same time; the pace still holds")
    parser.add_argument("--dry-run", action="store_true", help="only count")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Retry and say what came of it."""
    from rich.console import Console

    from avzsl.acquisition.retry import retry
    from avzsl.results.places import Places
    from avzsl.results.project import find_project

    project = find_project(arguments.config, arguments.results)
    places = Places(Path(project.config.results), Path(project.config.data))
    names = arguments.dataset or sorted({benchmark.dataset for benchmark in project.benchmarks.values()})
    console = Console(highlight=False)
    for name in names:
        done = retry(
            places, name, project.dataset(name), statuses=frozenset(arguments.status), now=arguments.now,
            workers=arguments.workers, dry_run=arguments.dry_run,
        )  # fmt: skip
        if arguments.dry_run:
            console.print(f"{name}: {done.asked} clips in {done.shards} shards would be asked for again")
        else:
            console.print(
                f"{name}: {done.asked} clips in {done.shards} shards asked for again, {done.won} more are ok now"
            )
    return 0
