"""Audit a split: one row a check, with count, share and findings; a gate that fails."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avzsl.config.splits import BENCHMARK_CHECKS, SplitConfig
from avzsl.contracts.atomic import write_text
from avzsl.contracts.errors import AvzslError, ConfigError
from avzsl.contracts.records import write_record
from avzsl.contracts.schemas import EXCLUDED, SUBSETS
from splits import class_checks, leaks
from splits.build import Split
from splits.check import ROWS, Check
from splits.facts import load_facts
from splits.grouped import ratio_errors
from splits.imported import differences_from
from splits.lists import has_subsets
from splits.overlap import COLUMNS as OVERLAP
from splits.tagged import tagged_classes

__all__ = ["Audit", "Check", "audit_split", "write_audit"]


# Findings of a check on the Markdown page; audit.json holds more.
SHOWN = 5
# A split is made before its clips are decoded, and serves any features.
LATER = (
    "What takes clips and features to see (copies, still pictures, silent clips, which unseen classes the training of the features' "
    "networks names, or that nobody can know) is audited with each benchmark: `checks` in its `benchmark.json`, and the page."
)


@dataclass
class Audit:
    """All checks of one split, with its counts, the table of overlapping classes and notes for people."""

    counts: dict[str, int]
    checks: list[Check]
    overlap: list[dict[str, str]] = field(default_factory=list)
    excluded: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    # Labels of AudioSet and ImageNet-1k that name a class, whatever the split avoids: for features of networks that know them.
    tagged: list[dict[str, str]] = field(default_factory=list)

    def __getitem__(self, name: str) -> Check:
        return next(check for check in self.checks if check.name == name)

    def enforce(self) -> None:
        """Raise AvzslError that names every check that exceeds its gate, with examples."""
        failed = []
        for check in self.checks:
            if check.passed:
                continue
            if check.count is None:
                failed.append(f"{check.name} has a gate, but was {check.note}")
                continue
            examples = f", for example {'; '.join(check.examples[:3])}" if check.examples else ""
            failed.append(
                f"{check.name}: {check.count} of {check.total} {check.title}; the gate allows {check.limit:g}{examples}"
            )
        if failed:
            raise AvzslError(f"audit: {'. '.join(failed)}")


def audit_split(
    split: Split,
    clips: pd.DataFrame,
    classes: pd.DataFrame,
    config: SplitConfig,
    cache: Path | None = None,
    vectors: dict[str, np.ndarray] | None = None,
) -> Audit:
    """Check a split against its catalogue; docs/splits.md explains every check.

    `cache` is where label sets were downloaded to; `vectors`, class embeddings by class name, make the comparison
    of names across seen and unseen classes sharper. Nothing is raised for what is found: see `Audit.enforce`.

    Raises ConfigError if a gate names no check.
    """
    columns = ["clip_id", "source_id", "start_s", "end_s", "official_subset"]
    table = split.clips.merge(clips[columns], on="clip_id", how="left")
    overlap_checks, overlap = class_checks.label_overlap(split.classes, classes, config, cache)
    checks = [
        *class_checks.disjointness(table),
        *overlap_checks,
        *class_checks.near_duplicates(split.classes, classes, overlap, config, vectors),
        *leaks.shared_sources(table),
        *leaks.overlapping_times(table),
        *leaks.pretraining(table, config),
        *leaks.official_mixing(table),
        *class_checks.empty_classes(table, split.classes),
        *_against_lists(split, config, cache),
        *_ratios(split, config),
        class_checks.embedding_order(classes),
    ]
    names = [check.name for check in checks]
    for name, limit in config.gates.items():
        if name in BENCHMARK_CHECKS:
            continue
        if name not in names:
            raise ConfigError(f"gates.{name}: unknown check; this split has {', '.join([*names, *BENCHMARK_CHECKS])}")
        checks[names.index(name)].limit = limit
    counts = split.counts()
    reasons = split.clips.loc[split.clips["subset"] == EXCLUDED, "reason"].fillna("no reason").value_counts()
    return Audit(
        {name: counts.get(name, 0) for name in (*SUBSETS, EXCLUDED)},
        checks,
        [dict(zip(overlap.columns, row, strict=True)) for row in overlap.to_numpy().tolist()],
        {str(reason): int(number) for reason, number in sorted(reasons.items())},
        list(split.notes),
        [dict(zip(OVERLAP, row, strict=True)) for row in tagged_classes(classes).to_numpy().tolist()],
    )


def _against_lists(split: Split, config: SplitConfig, cache: Path | None) -> list[Check]:
    """Differences from the lists that were imported or given beside a rule, and from the published numbers."""
    checks = []
    facts = load_facts(config.classes) if config.classes is not None else None
    # The seed of CJME's assignment is not known, so there every clip would differ.
    by_rule = (
        config.flavour == "published" and config.variant == "main" and facts is not None and facts.recipe == "avca"
    )
    if by_rule and has_subsets(config.lists):
        found = differences_from(split.clips, config, cache)
        title = "differences between the regenerated split and the released lists"
        checks.append(Check("lists", title, len(found), len(split.clips), found))
    if config.flavour == "imported":
        title = "differences between the lists and the catalogue"
        checks.append(Check("lists", title, len(split.findings), len(split.clips), split.findings))
    # Other classes have other numbers than the released ones.
    if facts is not None and config.fold is None:
        counts = split.counts()
        off = {name: counts.get(name, 0) - number for name, number in facts.counts.items()}
        examples = [
            f"{name}: {counts.get(name, 0)} instead of {facts.counts[name]}" for name, gap in off.items() if gap
        ]
        if facts.counts:
            total = sum(facts.counts.values())
            title = f"clips more or fewer than the published numbers of {facts.title}"
            checks.append(Check("published_counts", title, sum(map(abs, off.values())), total, examples))
        dropped = sorted({name for names in facts.dropped.values() for name in names})
        title = "unseen classes that a variant of the class lists drops, though its clip lists hold them"
        unseen = sum(role in {"val_unseen", "test_unseen"} for role in split.classes["role"])
        if dropped:
            checks.append(Check("variant_classes", title, len(dropped), max(unseen, len(dropped)), dropped[:ROWS]))
    return checks


def _ratios(split: Split, config: SplitConfig) -> list[Check]:
    """Count the seen classes whose share of test clips is further from the config's than rounding makes it."""
    if config.flavour == "imported" or (config.classes is not None and load_facts(config.classes).recipe != "avca"):
        return []
    roles = split.classes.set_index("class_name")["role"]
    errors = ratio_errors(split.clips.assign(role=split.clips["class_name"].map(roles)), config)
    off = errors[errors["error"] > 1].sort_values(["error", "clips"], ascending=False)
    examples = [f"{row.Index}: {row.test} of {row.clips}" for row in off.head(ROWS).itertuples()]
    title = f"seen classes whose test clips are more than one off a share of {config.test_seen:g}"
    note = f"off by {errors['error'].mean():.2f} clips on average" if len(errors) else ""
    return [Check("test_seen_ratio", title, len(off), len(errors), examples, note)]


def write_audit(audit: Audit, folder: Path) -> None:
    """Write `audit.json` and `audit.md` to `folder`."""
    rows: list[dict[str, Any]] = [
        asdict(check) | {"share": None if check.share is None else round(check.share, 6), "passed": check.passed}
        for check in audit.checks
    ]
    content = asdict(audit) | {"checks": rows}
    write_record(Path(folder) / "audit.json", content)
    write_text(Path(folder) / "audit.md", as_page(audit))


def as_page(audit: Audit) -> str:
    """Return the audit as a Markdown page."""
    lines = ["# Audit of the split", "", "| subset | clips |", "|---|---:|"]
    lines += [f"| {name} | {number} |" for name, number in audit.counts.items()]
    lines += [
        "",
        "## Checks",
        "",
        "| check | count | of | share | gate | examples and notes |",
        "|---|---:|---:|---:|---|---|",
    ]
    for check in audit.checks:
        gate = "" if check.limit is None else f"{'passed' if check.passed else '**FAILED**'}, at most {check.limit:g}"
        said = [*check.examples[:SHOWN], *([f"({check.note})"] if check.note else [])]
        count = "not checked" if check.count is None else str(check.count)
        share = "" if check.share is None else f"{check.share:.1%}"
        title = f"{check.title} (`{check.name}`)"
        lines.append(f"| {title} | {count} | {check.total} | {share} | {gate} | {_cell('; '.join(said))} |")
    if audit.excluded:
        lines += ["", "## Excluded clips", "", "| reason | clips |", "|---|---:|"]
        lines += [f"| {_cell(reason)} | {number} |" for reason, number in audit.excluded.items()]
    if audit.overlap:
        lines += ["", "## Classes that pre-training label sets hold", ""]
        lines += ["| class | label set | label | kind | evidence |", "|---|---|---|---|---|"]
        lines += [f"| {' | '.join(_cell(value) for value in row.values())} |" for row in audit.overlap]
    if audit.notes:
        lines += ["", "## Notes", "", *(f"- {note}" for note in audit.notes)]
    lines += ["", LATER]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Return text that stays inside one cell of a Markdown table, whatever a name holds."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
