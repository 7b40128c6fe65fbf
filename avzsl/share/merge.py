"""Several people's bundles as one table and one page."""

from __future__ import annotations

import html
import statistics
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from avzsl.contracts.atomic import write_text
from avzsl.evaluation import METRICS, SHORT
from avzsl.evaluation.hits import table_scores
from avzsl.results.zero_shot import in_words, validated_and_tested
from avzsl.share.bundle import Bundle, Run, Task

COLUMNS = [
    "task",
    "dataset",
    "split",
    "bundle",
    "benchmark",
    "features",
    "preset",
    "method",
    "seeds",
    "test_clips",
    "classes_validated_and_tested",
    "classes_unseen",
]


def merge(bundles: Sequence[Bundle], out: Path) -> pd.DataFrame:
    """Write `leaderboard.csv` and `leaderboard.html` below `out`; return the table, a row a bundle, benchmark and method.

    Rows of one task (`Task.hash`) are comparable; other test sets are other columns of the page, never mixed. Where several
    tasks are of one data set and split with the same classes, `common_*` are the scores on the test clips that all of them share.
    """
    common = _common(bundles)
    rows = []
    for bundle in bundles:
        groups: dict[tuple[str, str], list[Run]] = {}
        for run in bundle.runs:
            groups.setdefault((run.benchmark, run.method), []).append(run)
        for (benchmark, method), runs in groups.items():
            task, record = bundle.tasks[benchmark], runs[0].record
            unseen = task.tested.loc[task.tested["subset"] == "test_unseen", "class_name"].nunique()
            row: dict[str, object] = dict(zip(COLUMNS, (
                task.hash[:12], task.dataset, task.split, bundle.name, benchmark, record["features"], record["preset"],
                method, len(runs), len(task.tested), validated_and_tested(task.clips), unseen,
            ), strict=True))  # fmt: skip
            row |= {metric: _mean([run.scores[metric] for run in runs]) for metric in METRICS}
            shared = common.get(_kin(task), set())
            scores = [table_scores(run.predictions[run.predictions["clip_id"].isin(shared)]) for run in runs if shared]
            row |= {f"common_{metric}": _mean([s[metric] for s in scores]) for metric in METRICS}
            rows.append(row | {"common_clips": len(shared) or None})
    names = [*COLUMNS, *METRICS, "common_clips", *(f"common_{metric}" for metric in METRICS)]
    table = pd.DataFrame(rows, columns=names)
    table = table.sort_values(
        ["dataset", "split", "task", "hm"], ascending=[True, True, True, False], ignore_index=True
    )
    write_text(out / "leaderboard.csv", table.to_csv(index=False, float_format="%.4f"))
    write_text(out / "leaderboard.html", page(table))
    return table


def _kin(task: Task) -> tuple[object, ...]:
    return task.dataset, task.split, tuple(sorted(task.roles.items()))


def _common(bundles: Sequence[Bundle]) -> dict[tuple[object, ...], set[str]]:
    """Return the test clips that all tasks of one data set, split and classes share, where there are several tasks."""
    tested: dict[tuple[object, ...], dict[str, set[tuple[str, str, str]]]] = {}
    for bundle in bundles:
        for task in bundle.tasks.values():
            clips = {
                (str(c), str(n), str(s)) for c, n, s in task.tested[["clip_id", "class_name", "subset"]].to_numpy()
            }
            tested.setdefault(_kin(task), {})[task.hash] = clips
    return {
        kin: {clip for clip, _, _ in set.intersection(*sets.values())} for kin, sets in tested.items() if len(sets) > 1
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None


def page(table: pd.DataFrame) -> str:
    """Return the table as one HTML page, a section a test set."""
    parts = []
    for (dataset, split, task), rows in table.groupby(["dataset", "split", "task"], sort=False):
        shared = bool(rows["common_clips"].notna().any())
        heads = ["bundle", "features", "preset", "method", "seeds", *(SHORT[m] for m in METRICS)]
        heads += [f"{SHORT[m]} on {int(rows['common_clips'].iloc[0])} common clips" for m in METRICS] if shared else []
        body = "".join(
            f"<tr>{''.join(f'<td>{cell}</td>' for cell in _cells(row, shared))}</tr>" for _, row in rows.iterrows()
        )
        title = html.escape(f"{dataset}, split {split}: {rows['test_clips'].iloc[0]} test clips, task {task}")
        both, unseen = rows[["classes_validated_and_tested", "classes_unseen"]].iloc[0]
        warning = f"<p><strong>{in_words(both, unseen)}.</strong></p>" if both else ""
        parts.append(
            f"<h2>{title}</h2>{warning}<table><tr>{''.join(f'<th>{h}</th>' for h in heads)}</tr>{body}</table>"
        )
    style = "body{font-family:sans-serif;margin:2em}td,th{padding:.2em .8em;text-align:left}"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f"<title>avzsl leaderboard</title><style>{style}</style><h1>Leaderboard</h1><p>Rows of one table were tested on the "
        f"same clips; scores of different tables are not comparable but for those on common clips.</p>{''.join(parts)}</html>\n"
    )


def _cells(row: pd.Series, shared: bool) -> list[str]:
    texts = [str(row[name]) for name in ("bundle", "features", "preset", "method", "seeds")]
    numbers = [row[m] for m in METRICS] + ([row[f"common_{m}"] for m in METRICS] if shared else [])
    return [html.escape(text) for text in texts] + ["" if pd.isna(n) else f"{n:.2f}" for n in numbers]
