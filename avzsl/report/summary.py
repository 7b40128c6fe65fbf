"""From runs to tables: one row a run, one row a benchmark and method, and the same on the terminal."""

from __future__ import annotations

import io
import logging
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from avzsl.config.load import Project
from avzsl.contracts.atomic import write_text
from avzsl.contracts.errors import DataError
from avzsl.contracts.schemas import EXCLUDED, RUNS
from avzsl.evaluation import METRICS, SHORT, Comparison, Folds, Sample, collect_hits, compare, compare_folds, sample
from avzsl.pretrained.label_sets import NOT_DISJOINT
from avzsl.published import Published, for_benchmark
from avzsl.report.all_labels import all_labels
from avzsl.report.open_features import mark
from avzsl.report.results import BenchmarkFiles, RunFiles, open_benchmarks
from avzsl.results.places import Places
from avzsl.results.zero_shot import in_words, validated_and_tested

logger = logging.getLogger(__name__)

WIDEST = 1000
TOO_FEW = "too few clips for an interval"


@dataclass(frozen=True)
class Summary:
    """The tables of a whole results folder, in percent."""

    runs: pd.DataFrame  # RUNS
    table: pd.DataFrame  # one row a benchmark and method: the columns of benchmark.csv
    samples: dict[tuple[str, str], Sample | Folds] = field(default_factory=dict, repr=False)  # by benchmark and method

    def compare(self, benchmark: str, method: str, other: str, metric: str) -> Comparison:
        """Compare two methods of one benchmark: on the same test clips, or over its class splits."""
        a, b = self.samples[benchmark, method], self.samples[benchmark, other]
        if isinstance(a, Folds) and isinstance(b, Folds):
            return compare_folds(method, a, other, b, metric)
        assert isinstance(a, Sample) and isinstance(b, Sample)
        return compare(method, a, other, b, metric)


def summarise(project: Project, results: Path, benchmark: str | None = None) -> Summary:
    """Read the runs and write their tables: `runs.csv` and `benchmark.csv` below `results`.

    With the name of one `benchmark`, only its runs are read and only its own `results.csv` is written.
    Every score is recomputed from the run's predictions. Raises DataError that names the file when a run is missing
    or was tested on other clips than its siblings.
    """
    places = Places(results)
    if benchmark is not None:
        opened = open_benchmarks(project, results)
        own = _collect([b for b in opened if benchmark in (b.name, b.config.group)], whole=benchmark)
        _write_csv(places.benchmark_table(benchmark), own.table)
        return own
    summary = collect(project, results)
    _write_csv(places.runs_table, summary.runs)
    _write_csv(places.table, summary.table)
    return summary


def collect(project: Project, results: Path) -> Summary:
    """Summarise all configured benchmarks and write nothing."""
    return _collect(open_benchmarks(project, results))


def collect_finished(project: Project, results: Path) -> tuple[Summary | None, list[str]]:
    """Summarise the runs that are finished; return the summary, None if there are none, and what is missing."""
    finished, missing = [], []
    for benchmark in open_benchmarks(project, results):
        there = replace(benchmark, finished_only=True)
        any_there = False
        for method in benchmark.config.methods:
            done = {run.seed for run in there.runs(method)}
            any_there |= bool(done)
            lost = [str(seed) for seed in benchmark.config.seeds if seed not in done]
            if lost:
                missing.append(f"{benchmark.name}: {method}, {'seed' if len(lost) == 1 else 'seeds'} {', '.join(lost)}")
        if any_there:
            finished.append(there)
    return _collect(finished) if finished else None, missing


def _collect(benchmarks: list[BenchmarkFiles], whole: str | None = None) -> Summary:
    """Summarise benchmarks, class splits of one as one, unless it is the class split `whole` that is asked for."""
    parts: dict[str, list[tuple[BenchmarkFiles, Summary]]] = {}
    for benchmark in benchmarks:
        group = benchmark.config.group if whole != benchmark.name else None
        parts.setdefault(group or benchmark.name, []).append((benchmark, _summarise(benchmark)))
    made = [part[0][1] if name == part[0][0].name else over_folds(name, part) for name, part in parts.items()]
    return Summary(
        pd.concat([part.runs for part in made], ignore_index=True),
        pd.concat([part.table for part in made], ignore_index=True),
        {key: value for part in made for key, value in part.samples.items()},
    )


def over_folds(name: str, folds: list[tuple[BenchmarkFiles, Summary]]) -> Summary:
    """Make one row a method of the class splits of a benchmark: mean and standard deviation over them, in percent."""
    first, rows, shares = folds[0][0], [], []
    samples: dict[tuple[str, str], Sample | Folds] = {}
    for files, _ in folds:
        roles = files.classes.loc[files.classes["role"] != EXCLUDED, "role"]
        shares.append(float((roles == "test_unseen").mean()))
    for method in first.config.methods:
        if not all((part.table["method"] == method).any() for _, part in folds):
            continue
        tables = [part.table[part.table["method"] == method].iloc[0] for _, part in folds]
        row: dict[str, Any] = dict(tables[0])
        row |= {"benchmark": name, "split": first.config.split.rpartition("-")[0], "folds": len(folds)}
        scores = {metric: np.array([table[f"{metric}_mean"] for table in tables]) for metric in METRICS}
        own = Folds(scores, float(np.mean(shares)))
        samples[name, method] = own
        for metric, values in scores.items():
            found = own.over_folds(metric)
            row |= {
                f"{metric}_mean": float(values.mean()), f"{metric}_std": float(values.std(ddof=1)),
                f"{metric}_low": np.nan, f"{metric}_high": np.nan,
                f"{metric}_total_low": found.low if found else np.nan, f"{metric}_total_high": found.high if found else np.nan,
                f"{metric}_chance": float(np.mean([table[f"{metric}_chance"] for table in tables])), f"{metric}_published": None,
                f"{metric}_multilabel": None, f"{metric}_multilabel_plain": None,
            }  # fmt: skip
        row |= {
            "published_source": None,
            "multilabel_clips": None,
            "seconds": float(sum(table["seconds"] for table in tables)),
        }
        rows.append(row)
    runs = pd.concat([part.runs for _, part in folds], ignore_index=True)
    return Summary(runs, pd.DataFrame(rows), samples)


def _summarise(benchmark: BenchmarkFiles) -> Summary:
    runs, rows = [], []
    samples: dict[tuple[str, str], Sample | Folds] = {}
    for method in benchmark.config.methods:
        of_method = benchmark.runs(method)
        if not of_method:
            continue
        try:
            hits = collect_hits([run.predictions for run in of_method], benchmark.sources)
        except ValueError as error:
            raise DataError(of_method[0].folder.parent, f"{error}; delete the older of them and run again") from error
        own = sample(hits)
        samples[benchmark.name, method] = own
        runs += [_run_row(benchmark, run, own.scores, index) for index, run in enumerate(of_method)]
        rows.append(_table_row(benchmark, method, own, of_method))
    return Summary(pd.DataFrame(runs, columns=list(RUNS.columns)), pd.DataFrame(rows), samples)


def _run_row(benchmark: BenchmarkFiles, run: RunFiles, by_seed: dict[str, np.ndarray], index: int) -> dict[str, Any]:
    config = benchmark.config
    row: dict[str, Any] = {
        "benchmark": config.name, "dataset": config.dataset, "split": config.split, "features": config.features,
        "preset": config.preset, "method": run.method, "seed": run.seed,
    }  # fmt: skip
    row |= {metric: float(by_seed[metric][index]) for metric in METRICS}
    row |= {"beta": run.record.beta, "epoch": run.record.epoch, "seconds": run.record.seconds}
    for metric in METRICS:
        value = getattr(run.record, metric)
        if value is not None and not math.isclose(value, row[metric], abs_tol=0.01):
            logger.warning(
                "%s: says %s %.2f, its predictions give %.2f; the tables show the latter",
                run.places.record, SHORT[metric], value, row[metric],
            )  # fmt: skip
    return row


def _published(benchmark: BenchmarkFiles, method: str) -> Published | None:
    """Return the paper's own row; where a paper and its repository print the method twice, the first is the paper's."""
    config = benchmark.config
    rows = for_benchmark(config.dataset, config.features, benchmark.split, benchmark.random_weights)
    return next((row for row in rows if row.method == method), None)


def _table_row(benchmark: BenchmarkFiles, method: str, own: Sample, runs: list[RunFiles]) -> dict[str, Any]:
    config = benchmark.config
    predictions = runs[0].predictions
    tested = predictions.groupby("subset")["class_name"].nunique()
    unseen = int(tested.get("test_unseen", 0))
    published = _published(benchmark, method)
    row: dict[str, Any] = {
        "benchmark": config.name, "dataset": config.dataset, "split": config.split, "features": config.features,
        "preset": config.preset, "method": method, "seeds": len(runs), "folds": None,
    }  # fmt: skip
    for metric in METRICS:
        values = own.scores[metric]
        row[f"{metric}_mean"] = float(values.mean())
        # Sample standard deviation; one seed has none.
        row[f"{metric}_std"] = float(values.std(ddof=1)) if len(values) > 1 else None
        for name, found in (("", own.over_clips(metric)), ("total_", own.total(metric))):
            row[f"{metric}_{name}low"], row[f"{metric}_{name}high"] = (
                (found.low, found.high) if found else (np.nan, np.nan)
            )
        row[f"{metric}_chance"] = getattr(benchmark.record.chance, metric)
        row[f"{metric}_published"] = getattr(published, metric) if published else None
    row["published_source"] = published.place if published else None
    known = all_labels(benchmark, runs)
    row["multilabel_clips"] = known[0].clips if known else None
    for metric in METRICS:
        row[f"{metric}_multilabel"] = known[0].multi[metric] if known else None
        row[f"{metric}_multilabel_plain"] = known[0].plain[metric] if known else None
    clips = benchmark.clips
    row |= {
        "clips_listed": len(clips),
        "clips_used": int(clips["usable"].sum()),
        "clips_tested": len(predictions),
        "classes_seen": int(tested.get("test_seen", 0)),
        "classes_unseen": unseen,
        "classes_validated_and_tested": validated_and_tested(clips),
        "weights": _weights(benchmark.extractor),
        "random_weights": benchmark.random_weights,
        "interim": "{} of {}".format(*benchmark.record.interim) if benchmark.record.interim else None,
        "seconds": float(np.sum([run.record.seconds for run in runs])),
    }
    return row


def _weights(extractor: dict[str, Any]) -> str:
    weights = extractor.get("weights")
    open_to = mark(extractor)
    if open_to:
        return f"{open_to} {weights}"
    if isinstance(weights, dict):
        return ", ".join(f"{key} {value}" for key, value in sorted(weights.items()) if value is not None)
    return str(weights or "unknown")


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    # repr-exact floats would differ in the last digit between machines; six digits are beyond any meaning.
    write_text(path, frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def spread(row: Any, metric: str) -> str:
    """Format mean and standard deviation of one metric for people."""
    mean, std = row[f"{metric}_mean"], row[f"{metric}_std"]
    if mean is None or pd.isna(mean):
        return "–"
    return f"{mean:.2f}" if std is None or pd.isna(std) else f"{mean:.2f} ± {std:.2f}"


def total(row: Any, metric: str) -> str:
    """Format the interval over test clips and seeds of one metric for people, that over clips where there is one seed."""
    for name, words in (("total_", ""), ("", " clips only")):
        low, high = row[f"{metric}_{name}low"], row[f"{metric}_{name}high"]
        if not (low is None or pd.isna(low)):
            return f"{low:.1f} to {high:.1f}{words}"
    return ""


def folds_in_words(summary: Summary) -> list[str]:
    """Say of each benchmark of several class splits whether its best method is the best over them, for HM and ZSL."""
    said = []
    for name, rows in summary.table[summary.table["folds"].notna()].groupby("benchmark", sort=False):
        number = int(rows["folds"].iloc[0])
        said.append(f"{escape(str(name))}: mean ± standard deviation and 95 % interval over {number} class splits")
        for metric in ("hm", "zsl"):
            best = str(rows.loc[rows[f"{metric}_mean"].idxmax(), "method"])
            for other in rows["method"]:
                if other != best:
                    found = summary.compare(str(name), best, str(other), metric)
                    between = f" ({found.interval.low:+.2f} to {found.interval.high:+.2f})" if found.interval else ""
                    said.append(
                        f"  {SHORT[metric]}: {escape(best)} − {escape(str(other))} {found.difference:+.2f}{between}: "
                        f"{'holds' if found.better else 'does not hold'} over class splits"
                    )
    return said


def not_zero_shot(summary: Summary) -> dict[str, str]:
    """Say of each benchmark that validates on classes it tests, as AudioSetZSL's published split does, that it does."""
    first = summary.table.drop_duplicates("benchmark").set_index("benchmark")
    return {
        str(name): in_words(row["classes_validated_and_tested"], row["classes_unseen"])
        for name, row in first[first["classes_validated_and_tested"] > 0].iterrows()
    }


def too_few(summary: Summary) -> dict[str, list[str]]:
    """Return the columns (S, U ...) of each benchmark for which some method has too few test clips for an interval."""
    found: dict[str, list[str]] = {}
    for metric, short in SHORT.items():
        lacking = [
            name for (name, _), own in summary.samples.items() if isinstance(own, Sample) and not own.enough(metric)
        ]
        for name in dict.fromkeys(lacking):
            found.setdefault(name, []).append(short)
    return found


def terminal_table(summary: Summary, width: int | None = None) -> str:
    """Return the results as plain text: mean and spread over seeds, chance below each benchmark's rows.

    Without a `width` it is as wide as its columns need; in a narrower one names are folded, never cut.
    """
    stream, table = io.StringIO(), _rich_table(summary)
    console = Console(file=stream, width=width or WIDEST, color_system=None)
    if width is None:
        console.width = console.measure(table).maximum
    console.print(table)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _rich_table(summary: Summary) -> Table:
    table = Table(
        title="Mean per-class accuracy in percent: mean ± standard deviation over seeds, below it the 95 % interval over "
        "test clips and seeds together",
        title_justify="left",
    )
    for name in ("benchmark", "method", *SHORT.values(), "seeds", "clips used"):
        left = name in ("benchmark", "method")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for benchmark, rows in summary.table.groupby("benchmark", sort=False):
        for position, (_, row) in enumerate(rows.iterrows()):
            table.add_row(
                escape(str(benchmark)) if position == 0 else "",
                escape(row["method"]),
                *(f"{spread(row, metric)}\n{total(row, metric)}".rstrip() for metric in METRICS),
                str(row["seeds"]),
                f"{row['clips_used']} of {row['clips_listed']}",
            )
        first = rows.iloc[0]
        chance = (f"{first[f'{metric}_chance']:.2f}" for metric in METRICS)
        table.add_row("", "chance", *chance, "", "", style="dim", end_section=True)
    said = folds_in_words(summary)
    said += [f"{escape(name)}: {words}" for name, words in not_zero_shot(summary).items()]
    said += [f"{TOO_FEW}: {escape(name)} ({', '.join(few)})" for name, few in too_few(summary).items()]
    unfinished = summary.table.dropna(subset=["interim"])
    for name, words in dict(zip(unfinished["benchmark"], unfinished["interim"], strict=True)).items():
        said.append(f"INTERIM: {escape(name)} is scored on {words} shards; the others are not finished yet.")
    random = summary.table.loc[summary.table["random_weights"].astype(bool), "benchmark"].unique()
    if len(random):
        names = escape(", ".join(random))
        said += [
            f"RANDOM WEIGHTS: the features of {names} come from untrained networks. They show that the pipeline works, nothing else."
        ]
    opened = summary.table["weights"].astype(str)
    for kind in sorted({str(weights).split(")")[0] + ")" for weights in opened if str(weights).startswith("open (")}):
        those = summary.table.loc[opened.str.startswith(kind), "benchmark"].unique()
        known = (
            f"were trained with {kind[6:-1]}"
            if NOT_DISJOINT in kind
            else f"know the labels of {kind[6:-1]}; the page says which classes these name"
        )
        said.append(
            f"OPEN FEATURES, no zero-shot figures in the strict sense: {escape(', '.join(those))}, whose networks {escape(known)}."
        )
    table.caption, table.caption_justify = "\n".join(said) or None, "left"
    return table
