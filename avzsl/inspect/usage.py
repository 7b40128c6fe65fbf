"""What jobs took, from the files of Snakemake's `benchmark:` directive."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """Sums over finished jobs."""

    jobs: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0  # of the largest job
    gpu_s: float | None = None  # wall time x GPUs; None: the files do not say (they do with `benchmark-extended`)


def usage_of(files: Iterable[Path]) -> Usage:
    """Add up benchmark files; those that are not there or not readable count nothing."""
    total = Usage()
    for path in files:
        one = _read(path)
        if one is None:
            continue
        gpu_s = total.gpu_s if one.gpu_s is None else (total.gpu_s or 0.0) + one.gpu_s
        total = Usage(
            total.jobs + one.jobs, total.wall_s + one.wall_s, total.cpu_s + one.cpu_s, max(total.peak_mb, one.peak_mb), gpu_s
        )  # fmt: skip
    return total


def _read(path: Path) -> Usage | None:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        wall = sum(_number(row.get("s")) for row in rows)
        cpu = sum(_number(row.get("cpu_time")) for row in rows)
        peak = max((_number(row.get("max_rss")) for row in rows), default=0.0)
        gpu: float | None = None
        for row in rows:
            if row.get("resources"):
                gpu = (gpu or 0.0) + _number(row.get("s")) * _number(json.loads(row["resources"]).get("gpu"))
    except (OSError, ValueError, AttributeError, csv.Error):
        return None
    return Usage(len(rows), wall, cpu, peak, gpu)


def _number(text: object) -> float:
    """Return a number of a benchmark file; Snakemake writes NA or - for what it could not measure."""
    try:
        return float(str(text))
    except ValueError:
        return 0.0
