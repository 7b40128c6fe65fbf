"""From finished runs to the rows of a table."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from avzsl.config.load import Benchmark, Project
from avzsl.contracts.schemas import BENCHMARK_CLIPS
from avzsl.contracts.tables import read_table
from avzsl.published import Published, for_benchmark, of_table
from avzsl.results.places import Places
from avzsl.results.records import BenchmarkRecord, RunRecord, read_benchmark, read_run
from avzsl.results.zero_shot import not_zero_shot, validated_and_tested
from avzsl.tables.layout import Layout


@dataclass(frozen=True)
class Cell:
    """One metric of a row, in percent; None where there is no such number."""

    mean: float | None = None
    sd: float | None = None  # over seeds, sample standard deviation; None for one seed
    published: float | None = None

    @property
    def difference(self) -> float | None:
        """Measured less published, in standard deviations over seeds."""
        if self.mean is None or self.published is None or not self.sd:
            return None
        return (self.mean - self.published) / self.sd


@dataclass(frozen=True)
class Row:
    """One row: its leading cells, the method it belongs to, and how it came about."""

    labels: tuple[str, ...]
    method: str
    status: str  # measured, not run here, or published, not run here
    cells: Mapping[str, Cell]
    seeds: int = 0
    seconds: float | None = None  # mean wall time of a run
    source: str = ""  # of the published numbers


class Measured:
    """The finished runs of one benchmark, as run.json records them."""

    def __init__(self, project: Project, benchmark: Benchmark, results: Path) -> None:
        self.project, self.benchmark, self.places = project, benchmark, Places(results)

    @cached_property
    def record(self) -> BenchmarkRecord:
        return read_benchmark(self.places.benchmark_record(self.benchmark.name))

    def runs(self, method: str) -> list[RunRecord]:
        """Return the record of every configured seed; none if the benchmark does not run this method.

        Raises DataError if a configured run is not there.
        """
        if method not in self.benchmark.methods:
            return []
        name = self.benchmark.name
        return [read_run(self.places.run(name, method, seed).record) for seed in self.benchmark.seeds]

    @cached_property
    def clips(self) -> pd.DataFrame:
        """class_name, subset and usable of BENCHMARK_CLIPS."""
        columns = ("class_name", "subset", "usable")
        return read_table(self.places.benchmark_clips(self.benchmark.name), BENCHMARK_CLIPS, columns)

    @property
    def random_weights(self) -> bool:
        return self.record.random_weights

    @cached_property
    def validated_and_tested(self) -> int:
        return validated_and_tested(self.clips)

    @property
    def not_zero_shot(self) -> str:
        """A sentence where classes that are tested as unseen are validated on; nothing otherwise."""
        return not_zero_shot(self.clips)

    def published(self, task: str) -> list[Published]:
        """Return published rows of the same data set, features and split; none for features of random weights."""
        split = self.project.dataset(self.benchmark.dataset).splits[self.benchmark.split]
        return for_benchmark(self.benchmark.dataset, self.benchmark.features, split, self.random_weights, task)


def fill(layout: Layout, measured: Measured) -> list[Row]:
    """Return the table's rows for one benchmark, in the paper's order; what was not run keeps its row."""
    printed = {row.row: row for row in of_table(layout.source, layout.table)}
    rows = [_row(layout, measured, row) for _, row in sorted(printed.items())]
    if layout.references:
        ours = {row.method for row in rows}
        for row in measured.published("classification"):
            if row.source != layout.source and row.method not in ours:
                rows.append(_newer(layout, measured, row))
    return rows


def _row(layout: Layout, measured: Measured, printed: Published) -> Row:
    runs = measured.runs(printed.method)
    match = _match(measured.published(printed.task), printed)
    cells = {}
    for metric in layout.metrics:
        values = [v for v in (_value(run, printed.task, metric) for run in runs) if v is not None]
        # A metric that some seed lacks has no mean.
        whole = bool(values) and len(values) == len(runs)
        cells[metric] = Cell(
            statistics.fmean(values) if whole else None,
            statistics.stdev(values) if whole and len(values) > 1 else None,
            getattr(match, metric) if match else None,
        )
    labels = (printed.group, *printed.labels) if len(printed.labels) < len(layout.labels) else printed.labels
    seconds = statistics.fmean(run.seconds for run in runs) if runs else None
    status = "measured" if runs else "not run here"
    return Row(labels, printed.method, status, cells, len(runs), seconds, match.place if match else "")


def _newer(layout: Layout, measured: Measured, printed: Published) -> Row:
    labels = ("Newer", *printed.labels)
    if measured.runs(printed.method):
        return replace(_row(layout, measured, printed), labels=labels)
    cells = {metric: Cell(published=getattr(printed, metric)) for metric in layout.metrics}
    return Row(labels, "", "published, not run here", cells, source=printed.place)


def _match(candidates: list[Published], printed: Published) -> Published | None:
    """Return the same row for this benchmark's data set, else the same method's row of another source."""
    same = [c for c in candidates if (c.source, c.table, c.row) == (printed.source, printed.table, printed.row)]
    method = [c for c in candidates if printed.method and c.method == printed.method]
    return next(iter(same + method), None)


def _value(run: RunRecord, task: str, metric: str) -> float | None:
    value = getattr(run, metric) if task == "classification" else (run.retrieval or {}).get(task, {}).get(metric)
    return None if value is None or math.isnan(value) else float(value)
