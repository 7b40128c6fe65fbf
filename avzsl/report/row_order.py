"""What the released row order of class embeddings costs (D1), wherever a benchmark runs one method with both orders."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from avzsl.benchmark.released_rows import catalogue_rows
from avzsl.config import shipped
from avzsl.config.load import Benchmark, Project
from avzsl.contracts.class_embeddings import read_embeddings
from avzsl.contracts.schemas import EXCLUDED
from avzsl.evaluation import METRICS, Comparison
from avzsl.report.results import open_benchmarks
from avzsl.report.summary import Summary

DOC = "docs/fidelity-methods.md"


@dataclass(frozen=True)
class Cost:
    """One metric in percent: means over seeds with every class's own vector and with the released rows."""

    aligned: float
    released: float
    comparison: Comparison  # aligned minus released

    @property
    def sure(self) -> bool:
        """Whether the interval of the difference leaves out zero."""
        return self.comparison.better or self.comparison.worse


@dataclass(frozen=True)
class RowOrderCost:
    """One pair of methods of one benchmark, and how many classes the released rows give another class's vector."""

    benchmark: str
    preset: str
    aligned: str
    released: str
    seeds: int
    classes: int  # of the data set: their order decides which vector a class gets
    wrong: int
    unseen: int  # test classes
    wrong_unseen: int
    costs: tuple[Cost, ...]  # in the order of METRICS


def row_pairs(project: Project, benchmark: Benchmark) -> list[tuple[str, str]]:
    """Return the methods (aligned, as_released) of a benchmark that differ in `training.class_rows` alone."""
    found: dict[str, dict[str, str]] = {}
    for name in benchmark.methods:
        method = project.method(name, benchmark)
        training = method.training.under(benchmark.preset)
        # How often checkpoints are written changes no result; values to search matter where a search is made.
        rest = [
            method.config.module, method.options, method.config.search if training.search_trials else None,
            training.model_dump(mode="json", exclude={"class_rows", "checkpoint_seconds"}),
        ]  # fmt: skip
        found.setdefault(json.dumps(rest, sort_keys=True), {}).setdefault(str(training.class_rows), name)
    return [(pair["aligned"], pair["as_released"]) for pair in found.values() if len(pair) == 2]


def row_order_costs(project: Project, summary: Summary, results: Path) -> list[RowOrderCost]:
    """Return what the released rows cost each pair of each benchmark; no pair, no entry.

    Reads the class embeddings of data sets with a pair; raises DataError if they are missing.
    """
    costs = []
    for files in open_benchmarks(project, Path(results)):
        pairs = row_pairs(project, files.config)
        if not pairs or files.config.group is not None:
            continue
        embeddings = read_embeddings(files.embeddings_path)
        given = catalogue_rows(embeddings)
        wrong = {name for name, other in given.items() if name != other}
        classes = files.classes[files.classes["role"] != EXCLUDED]
        unseen = set(classes.loc[classes["role"] == "test_unseen", "class_name"])
        for aligned, released in pairs:
            costs.append(
                RowOrderCost(
                    files.name, files.config.preset, aligned, released, len(files.config.seeds), len(given), len(wrong),
                    len(unseen), len(unseen & wrong), tuple(_cost(summary, files.name, aligned, released, m) for m in METRICS),
                )
            )  # fmt: skip
    return costs


def _cost(summary: Summary, benchmark: str, aligned: str, released: str, metric: str) -> Cost:
    of_benchmark = summary.table[summary.table["benchmark"] == benchmark]
    means = dict(zip(of_benchmark["method"], of_benchmark[f"{metric}_mean"], strict=True))
    comparison = summary.compare(benchmark, aligned, released, metric)
    return Cost(means[aligned], means[released], comparison)


def explanation(out: Path) -> str | None:
    """Return the address of the explanation relative to the page `out`; None if the page lies outside this checkout."""
    root = shipped.ROOT
    if not (root / DOC).is_file() or not out.resolve().is_relative_to(root):
        return None
    return Path(os.path.relpath(root / DOC, out.resolve().parent)).as_posix()
