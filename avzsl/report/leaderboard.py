"""The leaderboard: every benchmark and method, its intervals, and which differences can be trusted."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from avzsl.evaluation import METRICS, SHORT, Comparison, Folds, Interval, Sample
from avzsl.evaluation.intervals import FEWEST_SOURCES, RESAMPLES
from avzsl.pretrained.label_sets import NOT_DISJOINT
from avzsl.report.results import BenchmarkFiles
from avzsl.report.summary import TOO_FEW, Summary


@dataclass(frozen=True)
class Cell:
    """One metric of one row."""

    metric: str
    mean: float | None
    std: float | None
    clips: Interval | None  # over test clips
    total: Interval | None  # over test clips and seeds
    why_none: str  # a sentence where there is no interval over test clips
    chance: float
    published: float | None
    best: bool
    beaten: tuple[Comparison, ...]  # comparisons with every other method of the benchmark

    @property
    def difference(self) -> float | None:
        return None if self.published is None or self.mean is None else self.mean - self.published

    @property
    def deviations(self) -> float | None:
        """The difference in sample standard deviations over seeds; None where the seeds have no spread."""
        return None if self.difference is None or not self.std else self.difference / self.std

    @property
    def mark(self) -> str:
        """A dagger where the best method beats every other one significantly."""
        return "†" if self.best and self.beaten and all(c.better for c in self.beaten) else ""


@dataclass(frozen=True)
class Row:
    """One benchmark and method."""

    values: dict[str, Any]
    cells: tuple[Cell, ...]

    @property
    def anchor(self) -> str:
        return f"{self.values['benchmark']}-{self.values['method']}"

    @property
    def weights(self) -> str:
        """What the features' weights are known by, checksums cut to what tells them apart."""
        weights = str(self.values["weights"]).removeprefix(self.open).lstrip()
        return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1…", weights)

    @property
    def open(self) -> str:
        """The mark of open features, `open (...)`; nothing for others."""
        found = re.match(r"open \([^)]*\)", str(self.values["weights"]))
        return found[0] if found else ""

    @property
    def open_in_short(self) -> str:
        """That mark, where it says that nobody can know what the backbone saw, as this alone."""
        return NOT_DISJOINT if NOT_DISJOINT in self.open else self.open

    @property
    def over(self) -> str:
        """What mean and standard deviation are over."""
        folds = self.values["folds"]
        return f"{self.values['seeds']} seeds" if pd.isna(folds) else f"{int(folds)} class splits"


def leaderboard(summary: Summary) -> list[Row]:
    """Return the rows of the leaderboard in the configuration's order."""
    rows = []
    for benchmark, group in summary.table.groupby("benchmark", sort=False):
        best = {metric: group[f"{metric}_mean"].idxmax() for metric in METRICS}
        for index, values in group.iterrows():
            own = summary.samples[str(benchmark), values["method"]]
            cells = []
            for metric in METRICS:
                others = tuple(
                    summary.compare(str(benchmark), values["method"], other, metric)
                    for other in group["method"]
                    if other != values["method"]
                )
                cells.append(
                    Cell(
                        metric, _number(values[f"{metric}_mean"]), _number(values[f"{metric}_std"]),
                        *_intervals(own, metric), values[f"{metric}_chance"],
                        _number(values[f"{metric}_published"]), index == best[metric], others,
                    )
                )  # fmt: skip
            rows.append(Row({str(k): v for k, v in values.items()}, tuple(cells)))
    return rows


def _number(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)


def _intervals(own: Sample | Folds, metric: str) -> tuple[Interval | None, Interval | None, str]:
    """Return the interval over clips, the total one, and why there is none."""
    if isinstance(own, Folds):
        found = own.over_folds(metric)
        return found, found, "" if found else "the class splits give the same number: no interval"
    return own.over_clips(metric), own.total(metric), _why_none(own, metric)


def _why_none(own: Sample, metric: str) -> str:
    if own.enough(metric):
        return ""
    few, classes = own.few[metric]
    if few:
        return f"{TOO_FEW}: {few} of {classes} classes have test clips of fewer than {FEWEST_SOURCES} sources"
    return f"{TOO_FEW}: other draws of them give the same number"


def how_tested() -> str:
    """Say how intervals and marks are made, for the page's explanation."""
    return (
        f"Interval over clips (95 %): from {RESAMPLES} resamples of the test clips, averaged over seeds; clips of one source "
        "(recording, video) are drawn together, inside their class. Total interval: the same uncertainty and that of the "
        "training seeds together. Differences: the same draws of clips for both methods, seeds independent; a difference "
        "is significant when zero lies outside its total interval, and never where a class has test clips of fewer than "
        f"{FEWEST_SOURCES} sources or there is one seed. Many comparisons are made: read a single mark with care."
    )


METRIC_NAMES = {
    "seen": "mean per-class accuracy on seen classes, all classes being candidates",
    "unseen": "mean per-class accuracy on unseen classes, all classes being candidates",
    "hm": "harmonic mean of S and U",
    "zsl": "mean per-class accuracy on unseen classes, only unseen classes being candidates",
}
COLUMNS = [(metric, SHORT[metric], METRIC_NAMES[metric]) for metric in METRICS]


def preset_pairs(summary: Summary) -> list[dict[str, Any]]:
    """Return methods that were run on the same data set, split and features under both presets, side by side."""
    keys = ["dataset", "split", "features", "method"]
    table = summary.table
    left, right = (table[table["preset"] == preset] for preset in ("corrected", "as_released"))
    both = left.merge(right, on=keys, suffixes=("_corrected", "_as_released"))
    return [
        {
            "row": {key: row[key] for key in keys},
            "benchmark": row["benchmark_corrected"],
            "values": [(row[f"{metric}_mean_corrected"], row[f"{metric}_mean_as_released"]) for metric in METRICS],
        }
        for row in both.to_dict("records")
    ]


def fold_tables(summary: Summary, benchmarks: list[BenchmarkFiles]) -> list[dict[str, Any]]:
    """Return HM and ZSL of every class split, in percent, and the classes that it tests; one table a benchmark."""
    groups: dict[str, list[BenchmarkFiles]] = {}
    for benchmark in benchmarks:
        if benchmark.config.group is not None:
            groups.setdefault(benchmark.config.group, []).append(benchmark)
    table = summary.runs.groupby(["benchmark", "method"])[["hm", "zsl"]].mean()
    means = dict(zip(table.index, table.to_numpy(float).tolist(), strict=True))
    return [
        {
            "name": name,
            "methods": parts[0].config.methods,
            "rows": [
                (
                    part.name,
                    [value for m in part.config.methods for value in means[part.name, m]],
                    ", ".join(part.classes.loc[part.classes["role"] == "test_unseen", "class_name"]),
                )
                for part in parts
            ],
        }
        for name, parts in groups.items()
    ]
