"""Compare two rebuilds of the same benchmark: which clips changed, and what that does to the scores."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from avzsl.contracts.errors import DataError
from avzsl.contracts.schemas import PREDICTIONS
from avzsl.contracts.tables import read_table
from avzsl.evaluation import SHORT, table_scores
from avzsl.inspect.attrition import read_media
from avzsl.results import zero_shot
from avzsl.results.places import Places

ABSENT = "absent"


@dataclass(frozen=True)
class Diff:
    """`changed`: dataset, clip_id, a, b (status in each), same_file (both ok with the same bytes).
    `scores`: benchmark, method, seed, clips (list: each rebuild's own, or the common one), and in percent S, U, HM
    and ZSL of a and of b with their difference b - a.
    """

    changed: pd.DataFrame
    scores: pd.DataFrame


def diff(a: Path, b: Path) -> Diff:
    """Compare two results folders. Raises DataError if one of them holds neither manifests nor runs."""
    for folder in (a, b):
        if not Places(folder).datasets() and not Places(folder).runs():
            raise DataError(folder, "is no results folder: it holds neither manifests nor runs")
    return Diff(_changed(a, b), _scores(a, b))


def _changed(a: Path, b: Path) -> pd.DataFrame:
    names = sorted({*Places(a).datasets(), *Places(b).datasets()})
    columns = ["dataset", "clip_id", "a", "b", "same_file"]
    tables = []
    for name in names:
        left, right = (read_media(folder, name).set_index("clip_id")[["status", "sha256"]] for folder in (a, b))
        both = left.join(right, how="outer", lsuffix="_a", rsuffix="_b")
        both["dataset"] = name
        both["a"], both["b"] = both["status_a"].fillna(ABSENT), both["status_b"].fillna(ABSENT)
        good = (both["a"] == "ok") & (both["b"] == "ok")
        both["same_file"] = good & (both["sha256_a"] == both["sha256_b"])
        moved = (both["a"] != both["b"]) | (good & ~both["same_file"])
        tables.append(both[moved].reset_index()[columns])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def _scores(a: Path, b: Path) -> pd.DataFrame:
    rows = []
    for benchmark, method, seed in Places(a).runs():
        path, other = (Places(folder).run(benchmark, method, seed).predictions for folder in (a, b))
        if not other.is_file():
            continue
        left, right = read_table(path, PREDICTIONS), read_table(other, PREDICTIONS)
        # A clip that changed its class or its subset between the two is not common ground.
        common = left.merge(right, on=["clip_id", "class_name", "subset"])["clip_id"]
        for which in ("own", "common"):
            one, two = (t if which == "own" else t[t["clip_id"].isin(common)] for t in (left, right))
            row = {"benchmark": benchmark, "method": method, "seed": seed, "list": which}
            row |= {"clips_a": len(one), "clips_b": len(two)}
            scores_a, scores_b = table_scores(one), table_scores(two)
            for metric, name in SHORT.items():
                here, there = (math.nan if value is None else value for value in (scores_a[metric], scores_b[metric]))
                row |= {f"{name}_a": here, f"{name}_b": there, f"{name}_change": there - here}
            rows.append(row)
    return pd.DataFrame(rows)


def not_zero_shot(a: Path, b: Path, benchmarks: Iterable[str]) -> dict[tuple[str, Path], str]:
    """Say of each benchmark that validates on classes it tests that it does, by its name and the results folder."""
    said = {}
    for name in benchmarks:
        for folder in (a, b):
            words = zero_shot.not_zero_shot_at(Places(folder).benchmark_clips(name))
            if words:
                said[name, folder] = words
    return said
