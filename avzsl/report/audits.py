"""What the audits of splits found, findings first: for the page, and for the terminal after `snakemake splits`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from avzsl.config.dataset import DatasetConfig
from avzsl.config.load import Project
from avzsl.contracts.records import read_record
from avzsl.results.places import Places

# Checks of what the released loaders do: they say nothing of a data set that has no released split.
RELEASED_ONLY = ("embedding_order",)


@dataclass(frozen=True)
class Sorted:
    """The checks of one audit.json: those that failed or found something, and those that found nothing."""

    findings: tuple[dict[str, Any], ...]
    clean: tuple[dict[str, Any], ...]


def sort_checks(audit: dict[str, Any], dataset: DatasetConfig) -> Sorted:
    """Return failed gates, then what was found by its share, then what could not be checked; apart from what is clean."""
    released = any(split.flavour in ("published", "imported") for split in dataset.splits.values())
    checks = [
        check
        for check in audit["checks"]
        if released or check["name"] not in RELEASED_ONLY or check.get("limit") is not None
    ]
    found = [c for c in checks if not c["passed"] or c["count"] is None or c["count"]]
    share = {c["name"]: (c["count"] or 0) / max(c["total"], 1) for c in found}
    found.sort(key=lambda c: (c["passed"], c["count"] is None, -share[c["name"]]))
    return Sorted(tuple(found), tuple(c for c in checks if c["passed"] and c["count"] == 0))


def _of_benchmark(project: Project, places: Places, dataset: str, split: str) -> list[dict[str, Any]]:
    """Return what the first benchmark of a split that is there checked on its clips; nothing without one."""
    for name, benchmark in project.benchmarks.items():
        path = places.benchmark_record(name)
        if (benchmark.dataset, benchmark.split) == (dataset, split) and path.is_file():
            return list(read_record(path).get("checks", []))
    return []


def findings_table(
    project: Project, places: Places, splits: Sequence[tuple[str, str]], width: int | None = None
) -> str:
    """Return the findings of the audits of `splits`, pairs of data set and split, as plain text.

    Copies, still pictures and silent clips show when clips are decoded: they are there once a benchmark of the split is.
    """
    table = Table(title="What the audits found", title_justify="left")
    for name, justify in (("split", "left"), ("found", "right"), ("of", "right"), ("what", "left")):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for dataset, split in splits:
        path = places.audit(dataset, split)
        if not path.is_file():
            continue
        checks = [*read_record(path)["checks"], *_of_benchmark(project, places, dataset, split)]
        own = sort_checks({"checks": checks}, project.dataset(dataset))
        name = f"{dataset}/{split}"
        for check in own.findings:
            mark = "" if check["passed"] else "FAILED: "
            count = "unknown" if check["count"] is None else str(check["count"])
            note = f" ({check['note']})" if check["count"] is None and check["note"] else ""
            table.add_row(escape(name), count, str(check["total"]), escape(f"{mark}{check['title']}{note}"))
            name = ""
        last = (
            f"{len(own.clean)} check{'' if len(own.clean) == 1 else 's'} passed; every row: {path.with_suffix('.md')}"
        )
        table.add_row(escape(name), "", "", escape(last), style="dim", end_section=True)
    stream = io.StringIO()
    console = Console(file=stream, width=width or 140, color_system=None)
    console.print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"
