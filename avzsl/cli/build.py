"""`avzsl build`: Snakemake on the workflow that comes with avzsl, from any folder."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from avzsl.config import shipped

# Options of Snakemake by which a user says what to build.
_SAYS_WHAT = ("--config", "-C", "--configfile", "--configfiles")


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "build",
        help="build benchmarks from any folder (Snakemake on avzsl's own workflow)",
        usage="avzsl build [TARGET ...] [Snakemake's options ...]",
        description="Run Snakemake on the workflow that comes with avzsl, in this folder; everything after `build` goes to "
        "Snakemake. In a checkout `snakemake` alone does the same. Without config/config.yaml, --configfile or --config "
        "the demo is built.",
        epilog="examples:\n"
        "  avzsl build --cores all                             the demo, or what ./config/config.yaml names\n"
        "  avzsl build -n                                      what would be done\n"
        "  avzsl build splits --cores all --config benchmarks=ucf\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run, passes_on=True)


def run(options: argparse.Namespace) -> int:
    """Become Snakemake."""
    shipped.check_neighbours()
    command = [sys.executable, "-m", "snakemake", *snakemake_arguments(options.rest, Path.cwd())]
    os.execv(sys.executable, command)  # its progress, its signals and its exit status are the user's


def snakemake_arguments(given: list[str], folder: Path) -> list[str]:
    """Return Snakemake's arguments for what a user gave in `folder`."""
    arguments = [f"--snakefile={shipped.SNAKEFILE}"]
    named = any(argument.split("=")[0] in _SAYS_WHAT for argument in given)
    if not named and not (folder / "config" / "config.yaml").is_file():
        arguments.append(f"--configfile={shipped.CONFIG / 'config.yaml'}")
    return arguments + given
