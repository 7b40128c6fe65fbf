"""What became of every listed clip, and the split as the benchmark uses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from avzsl.contracts.schemas import CLASS_ROLES, EXCLUDED, SUBSETS
from avzsl.contracts.vocabulary import PERMANENT_STATUS
from avzsl.report.figures import Figure, axis, colour, labels
from avzsl.report.results import BenchmarkFiles

# Stages that lose clips in the order of the flow, and what the clips that pass them are called.
STAGES = (
    ("split", "in the split"),
    ("media", "fetched"),
    ("features", "decoded, with features"),
    ("class", "used"),
)
# Hatching of the roles, for print and for readers who do not tell the colours apart.
PATTERNS = ("", "/", "x", ".")
ROLE_TITLES = {
    "train": "Train: seen in both stages",
    "val_unseen": "Validation-unseen: unseen in stage 1, seen in stage 2",
    "test_unseen": "Test-unseen: never trained on",
    EXCLUDED: "Excluded",
}


@dataclass(frozen=True)
class Step:
    """Clips that are left after one stage."""

    title: str
    clips: int
    share: float  # of the listed clips, percent
    lost: int


def funnel(clips: pd.DataFrame) -> list[Step]:
    """Return listed -> in the split -> fetched -> decoded -> used from a `BENCHMARK_CLIPS` table."""
    listed = left = len(clips)
    steps = [Step("listed", listed, 100.0, 0)]
    lost_at = clips.loc[~clips["usable"], "stage"].value_counts()
    for stage, title in STAGES:
        lost = int(lost_at.get(stage, 0))
        left -= lost
        steps.append(Step(title, left, 100 * left / max(listed, 1), lost))
    return steps


def reasons(clips: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one row a stage and status that lost clips: count, share, whether final, an example in words."""
    lost = clips[~clips["usable"]]
    rows = []
    for (stage, status), group in lost.groupby([lost["stage"].fillna("?"), lost["status"].fillna("?")]):
        said = group["reason"].dropna()
        rows.append(
            {
                "stage": stage, "status": status, "clips": len(group), "share": 100 * len(group) / len(clips),
                "final": "yes" if status in PERMANENT_STATUS else "",
                "example": "" if said.empty else str(said.iloc[0]),
                "classes": int(group["class_name"].nunique()),
            }
        )  # fmt: skip
    return sorted(rows, key=lambda row: -row["clips"])


def class_table(benchmark: BenchmarkFiles) -> list[dict[str, Any]]:
    """Return one row a class: role, listed and usable clips, and clips lost at each stage."""
    lost = benchmark.clips[~benchmark.clips["usable"]]
    lost_at: dict[Any, int] = lost.groupby(["class_name", "stage"]).size().to_dict()
    category = _categories(benchmark)
    rows = []
    for row in benchmark.classes.to_dict("records"):
        name = row["class_name"]
        rows.append(
            {
                "name": name, "role": row["role"], "category": category.get(name, ""),
                "listed": row["listed"], "usable": row["usable"], "reason": row["reason"] or "",
                "lost": [int(lost_at.get((name, stage), 0)) for stage, _ in STAGES],
            }
        )  # fmt: skip
    return rows


def _categories(benchmark: BenchmarkFiles) -> dict[str, str]:
    of_clips = {str(name): str(category) for name, category in benchmark.categories.items()}
    table = benchmark.catalog_classes.dropna(subset=["category"])
    return of_clips | dict(zip(table["class_name"], table["category"], strict=True))


def subset_table(clips: pd.DataFrame) -> list[dict[str, Any]]:
    """Return clips and classes of each subset, listed and used."""
    rows = []
    for subset in (*SUBSETS, EXCLUDED):
        part = clips[clips["subset"] == subset]
        used = part[part["usable"]]
        if len(part) or subset != EXCLUDED:
            rows.append(
                {
                    "subset": subset, "listed": len(part), "used": len(used),
                    "classes": int(part["class_name"].nunique()), "classes_used": int(used["class_name"].nunique()),
                    "smallest": int(used.groupby("class_name").size().min()) if len(used) else 0,
                }
            )  # fmt: skip
    return rows


def split_picture(benchmark: BenchmarkFiles) -> list[dict[str, Any]]:
    """Return the classes by role, each with clips, category and why it has its role."""
    why = dict(zip(benchmark.split_classes["class_name"], benchmark.split_classes["reason"], strict=True))
    by_role: dict[str, list[dict[str, Any]]] = {role: [] for role in (*CLASS_ROLES, EXCLUDED)}
    for row in class_table(benchmark):
        reason = row["reason"] or why.get(row["name"]) or ""
        by_role[row["role"]].append(row | {"why": reason, "overlap": "overlap" in reason.lower()})
    return [
        {"role": role, "title": ROLE_TITLES[role], "classes": classes} for role, classes in by_role.items() if classes
    ]


def category_figure(benchmark: BenchmarkFiles) -> Figure | None:
    """Return the classes of each category by role as stacked bars; None where no class has a category."""
    rows = [row for row in class_table(benchmark) if row["category"]]
    if not rows:
        return None
    counts = pd.crosstab(pd.Series([r["category"] for r in rows]), pd.Series([r["role"] for r in rows]))
    roles = [role for role in (*CLASS_ROLES, EXCLUDED) if role in counts.columns]
    names = list(counts.index)
    data = [
        {
            "type": "bar", "orientation": "h", "name": role, "y": labels(names), "x": [int(n) for n in counts[role]],
            "marker": {"color": colour(index), "pattern": {"shape": PATTERNS[index]}},
            "hovertemplate": f"%{{y}}: %{{x}} classes, {role}<extra></extra>",
        }
        for index, role in enumerate(roles)
    ]  # fmt: skip
    return Figure(
        f"categories-{benchmark.name}", "Categories", "Classes of each category by their role in the split.", data,
        {"barmode": "stack", "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "traceorder": "normal"}, "xaxis": axis("classes"), "yaxis": {"autorange": "reversed", "type": "category"}},
        height=170 + 24 * len(names), width=900, header=["category", *roles],
        rows=[[name, *(int(counts.loc[name, role]) for role in roles)] for name in names],
    )  # fmt: skip
