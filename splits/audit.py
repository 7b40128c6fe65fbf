"""Audit a split: one row a check, with count, share and examples; a gate that fails."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from avzsl.config.splits import SplitConfig
from avzsl.contracts.atomic import write_json, write_text
from avzsl.contracts.errors import AvzslError, ConfigError
from avzsl.contracts.schemas import SUBSETS
from splits.build import Split

EXAMPLES = 5


@dataclass
class Check:
    """One check: what was counted (`count` of `total`), and up to five examples."""

    name: str
    title: str
    count: int
    total: int
    examples: list[str] = field(default_factory=list)
    note: str = ""
    limit: float | None = None

    @property
    def share(self) -> float:
        return self.count / self.total if self.total else 0.0

    @property
    def passed(self) -> bool:
        return self.limit is None or self.count <= self.limit


@dataclass
class Audit:
    """All checks of one split, with its counts and notes."""

    counts: dict[str, int]
    checks: list[Check]
    notes: list[str] = field(default_factory=list)

    def enforce(self) -> None:
        """Raise AvzslError if a check exceeds its gate."""
        for check in self.checks:
            if not check.passed:
                examples = f", for example {'; '.join(check.examples[:3])}" if check.examples else ""
                raise AvzslError(
                    f"audit: {check.name}: {check.count} of {check.total} exceed the gate of {check.limit:g}{examples}"
                )


def audit_split(split: Split, clips: pd.DataFrame, classes: pd.DataFrame, config: SplitConfig) -> Audit:
    """Check a split against its catalogue; raises ConfigError if a gate names no check."""
    table = split.clips.merge(clips[["clip_id", "source_id"]], on="clip_id", how="left")
    checks = [_class_disjointness(table), *_sources(table)]
    names = [check.name for check in checks]
    for name, limit in config.gates.items():
        if name not in names:
            raise ConfigError(f"gates.{name}: unknown check; known: {', '.join(names)}")
        checks[names.index(name)].limit = limit
    return Audit({name: split.counts().get(name, 0) for name in (*SUBSETS, "excluded")}, checks, list(split.notes))


def write_audit(audit: Audit, folder: Path) -> None:
    """Write `audit.json` and `audit.md` to `folder`."""
    rows: list[dict[str, Any]] = [
        asdict(check) | {"share": round(check.share, 6), "passed": check.passed} for check in audit.checks
    ]
    write_json(Path(folder) / "audit.json", {"counts": audit.counts, "checks": rows, "notes": audit.notes})
    write_text(Path(folder) / "audit.md", as_page(audit))


def as_page(audit: Audit) -> str:
    """Return the audit as a Markdown page."""
    lines = ["# Audit of the split", "", "| subset | clips |", "|---|---:|"]
    lines += [f"| {name} | {number} |" for name, number in audit.counts.items()]
    lines += ["", "| check | count | of | share | gate | examples |", "|---|---:|---:|---:|---|---|"]
    for check in audit.checks:
        gate = "" if check.limit is None else f"{'passed' if check.passed else 'FAILED'} (at most {check.limit:g})"
        examples = "; ".join(check.examples[:EXAMPLES]).replace("|", "\\|")
        lines.append(f"| {check.title} | {check.count} | {check.total} | {check.share:.1%} | {gate} | {examples} |")
    lines += ["", *(f"- {note}" for note in audit.notes)]
    return "\n".join(lines).rstrip() + "\n"


def _class_disjointness(table: pd.DataFrame) -> Check:
    unseen = set(table.loc[table["subset"] == "test_unseen", "class_name"])
    trained = set(table.loc[table["subset"].isin(["train", "val_seen", "val_unseen"]), "class_name"])
    both = sorted(unseen & trained)
    return Check(
        "class_disjointness", "unseen test classes with clips in training", len(both), len(unseen), both[:EXAMPLES]
    )


def _sources(table: pd.DataFrame) -> list[Check]:
    stage_2 = ["train", "val_seen", "val_unseen"]
    return [
        _shared("val_seen_source", "validation-seen clips that share their source with a train clip", table, "val_seen", ["train"]),
        _shared("test_seen_source", "test-seen clips that share their source with a clip trained on", table, "test_seen", stage_2),
        _shared("val_unseen_source", "validation-unseen clips that share their source with a train clip", table, "val_unseen", ["train"]),
        _shared(
            "test_unseen_source", "test-unseen clips that share their source with a seen clip", table, "test_unseen",
            [*stage_2, "test_seen"],
        ),
    ]  # fmt: skip


def _shared(name: str, title: str, table: pd.DataFrame, subset: str, others: list[str]) -> Check:
    own = table[table["subset"] == subset]
    hit = own[own["source_id"].isin(table.loc[table["subset"].isin(others), "source_id"])]
    return Check(name, title, len(hit), len(own), sorted(hit["clip_id"])[:EXAMPLES])
