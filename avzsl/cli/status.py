"""`avzsl status`: how far a run is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avzsl.cli import add_project
from avzsl.runtime.progress import pace

if TYPE_CHECKING:
    from avzsl.inspect import Stage


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "status",
        help="say how far a run is: stages, shards, failures by reason, GPU time, time left",
        description="Say how far a run in this folder is, from the files it leaves: stages and shards done, clips that "
        "failed by reason, processor and GPU time of finished jobs, and the time left at the rate of this run. Reads only.",
    )
    add_project(parser)
    parser.add_argument(
        "--verify", action="store_true", help="read every table and array of the results; list those that are corrupt"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the state."""
    from avzsl.inspect import read_status
    from avzsl.results.project import find_project

    project = find_project(options.config, options.results)
    if options.verify:
        return _verify(Path(project.config.results))
    status = read_status(project)
    write = sys.stdout.write
    write(f"running: process {status.holder}\n" if status.holder else "no run is in progress\n")
    write(f"{'':>34} {'done':>13}  {'CPU time':>9} {'GPU time':>9} {'peak':>8}  {'left':>9} {'pace':>12}\n")
    for stage in status.stages:
        write(_line(stage))
        for reason, count in stage.failed.items():
            write(f"{'':>34} {count:>6} clips: {reason}\n")
    for name, (used, listed) in status.used.items():
        write(
            f"{name}: {used} of {listed} listed clips are fetched; no configured benchmark uses the others\n"
            if used < listed
            else ""
        )
    if status.gpu_s is not None:
        write(f"GPU seconds of finished jobs: {status.gpu_s:.0f}\n")
    for path in status.unreadable:
        write(f"unreadable: {path} (delete it, and the next run makes it again)\n")
    return 0


def _verify(results: Path) -> int:
    from avzsl.inspect.verify import corrupt_files

    found = 0
    for path, problem in corrupt_files(results):
        found += 1
        sys.stdout.write(f"{path}: {problem}\n")
    sys.stdout.write(
        f"{found} corrupt files below {results}"
        + ("; delete them, and a run that needs them makes them again\n" if found else "\n")
    )
    return int(found > 0)


def _line(stage: Stage) -> str:
    usage = stage.usage
    done = f"{stage.done}/{stage.total} {stage.unit}"
    cpu = span(usage.cpu_s) if usage.jobs else ""
    gpu = span(usage.gpu_s) if usage.gpu_s else ""
    peak = f"{usage.peak_mb:.0f} MB" if usage.jobs else ""
    left = "" if stage.done == stage.total else ("?" if stage.left_s is None else span(stage.left_s))
    rate = pace(stage.rate) if stage.rate and stage.done < stage.total else ""
    return (
        f"{f'{stage.of} {stage.name}'.strip():>34} {done:>13}  {cpu:>9} {gpu:>9} {peak:>8}  {left:>9} {rate:>12}\n".rstrip()
        + "\n"
    )


def span(seconds: float) -> str:
    """Return a length of time for people: 45 s, 12 min, 3 h 20."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d}"
