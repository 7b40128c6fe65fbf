"""The `avzsl` command: what a user asks outside the workflow. One module a sub-command."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import pkgutil
import sys

from avzsl import __version__
from avzsl.contracts import disk
from avzsl.contracts.errors import AvzslError
from avzsl.runtime.devices import let_idle_threads_sleep
from avzsl.runtime.jobs import setup_logging

EPILOG = """\
The benchmark itself is built by Snakemake:
  snakemake --cores all                          everything the configuration names, the demo by default
  snakemake --cores all --config benchmarks=NAME the benchmark of config/datasets/NAME.yaml
  snakemake -n                                   what would be done, and why
"""


def add_project(parser: argparse.ArgumentParser) -> None:
    """Add the options by which a command finds its project (`avzsl.results.project.find_project`)."""
    parser.add_argument(
        "--results", default=None, metavar="FOLDER",
        help="a results folder: the project is the one that the last run built there; default: what config/config.yaml "
        "calls `results`, or results",
    )  # fmt: skip
    parser.add_argument(
        "--config", default=None, metavar="FILE", help="a project configuration, in place of what the last run built"
    )


def make_parser(given: list[str]) -> argparse.ArgumentParser:
    """Return the parser of what was `given`: of the named sub-command alone, or of all of them."""
    parser = argparse.ArgumentParser(
        prog="avzsl", description=importlib.import_module("avzsl").__doc__, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"avzsl {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # Each module of this package is a sub-command with an `add_parser` of its own; adding one changes nothing here.
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    # Who names a command waits for that one only.
    for name in given[:1] if given[:1] and given[0] in names else names:
        importlib.import_module(f"{__name__}.{name}").add_parser(subparsers)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one sub-command; return the exit status (1: a sentence was printed, 2: unusable arguments)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = make_parser(arguments)
    options, rest = parser.parse_known_args(arguments)
    if rest and not getattr(options, "passes_on", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    setup_logging()
    let_idle_threads_sleep()
    try:
        return int(options.run(options))
    except AvzslError as error:
        logging.getLogger("avzsl").error("avzsl %s: %s", options.command, error)
        return 1
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if (said := disk.sentence(error)) is None:
            raise
        logging.getLogger("avzsl").error("avzsl %s: %s", options.command, said)
        return 1
    except KeyboardInterrupt:
        return 130
