"""`avzsl gather`: shards that other machines made."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from avzsl.cli import add_project


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "gather",
        help="bring together shards that several machines fetched and extracted",
        description="Copy the finished shards of other machines' results folders into this project's, after checking "
        "settings, clips, checksums and extractor of all of them; the next snakemake goes on as if it had made them. "
        "On each machine: snakemake --cores all --config only_shards=FIRST-LAST. Here: snakemake "
        "RESULTS/DATASET/catalog/used.json, then this.",
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a results folder of another machine")
    add_project(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Gather and say what is there and what is missing."""
    from avzsl.results.gather import gather
    from avzsl.results.project import find_project

    done = gather(find_project(options.config, options.results), options.folders)
    write = sys.stdout.write
    for folder in options.folders:
        copied, here = (sum(shard.folder == folder for shard in part) for part in (done.copied, done.here))
        write(f"{folder}: {copied} shards copied, {here} were here, {done.unfinished[folder]} are not finished there\n")
    for (dataset, features), numbers in done.missing.items():
        said = ", ".join(numbers[:8]) + (" ..." if len(numbers) > 8 else "")
        write(
            f"{dataset}, {features}: "
            + (f"{len(numbers)} shards are missing: {said}\n" if numbers else "every shard is here\n")
        )
    return 0
