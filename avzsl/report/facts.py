"""What one would need to know to believe, cite or repeat a result."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from avzsl import __version__
from avzsl.config.load import Project
from avzsl.report.results import BenchmarkFiles
from avzsl.results.places import Places, feature_costs, run_costs

logger = logging.getLogger(__name__)


def flatten(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Return nested mappings as (dotted key, text) pairs, in order."""
    if isinstance(value, dict):
        return [
            pair for key, inner in value.items() for pair in flatten(inner, f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(value, list):
        value = ", ".join(str(item) for item in value)
    return [(prefix, "" if value is None else str(value))]


def effective_config(project: Project, benchmark: BenchmarkFiles) -> str:
    """Return the configuration of one benchmark with every default and override filled in, as YAML."""
    config = benchmark.config
    methods = {}
    for name in config.methods:
        method = project.method(name, config)
        methods[name] = {
            "title": method.config.title, "source": method.config.source,
            "options": method.options, "training": method.training.under(config.preset).model_dump(mode="json"),
        }  # fmt: skip
    content = {
        "benchmark": {
            "name": config.name, "dataset": config.dataset, "split": config.split, "features": config.features,
            "preset": config.preset, "seeds": list(config.seeds),
        },
        "dataset": project.dataset(config.dataset).model_dump(mode="json"),
        "features": project.features(config.features).model_dump(mode="json"),
        "methods": methods,
    }  # fmt: skip
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def preset_choices(project: Project, benchmark: BenchmarkFiles) -> list[dict[str, Any]]:
    """Return where a method departs from its defaults here: option, value taken, default.

    What each option means and what paper and released code say of it stands in docs/fidelity.md.
    """
    rows = []
    for name in benchmark.config.methods:
        method = project.method(name, benchmark.config)
        defaults = {**method.config.options, **method.config.training.under("corrected").model_dump()}
        taken = {**method.options, **method.training.under(benchmark.config.preset).model_dump()}
        rows += [
            {"method": name, "option": key, "value": str(value), "default": str(defaults.get(key))}
            for key, value in taken.items()
            if value != defaults.get(key)
        ]
    return rows


def stage_costs(benchmark: BenchmarkFiles) -> list[dict[str, Any]]:
    """Return jobs, wall and CPU time and peak memory of the stages that Snakemake measured, from its benchmark files.

    They lie with the logs: those that were deleted count nothing.
    """
    config = benchmark.config
    rows = []
    for stage, files in (
        ("features", feature_costs(config.dataset, config.features, benchmark.shards)),
        ("runs", run_costs(config.name, config.methods, config.seeds)),
    ):
        parts = []
        for path in filter(Path.is_file, files):
            try:
                parts.append(pd.read_csv(path, sep="\t", na_values=["-", "NA"]))
            except (OSError, ValueError) as error:
                logger.warning("%s: is not a benchmark file of Snakemake: %s", path, error)
        if parts:
            table = pd.concat(parts).reindex(columns=["s", "cpu_time", "max_rss"])
            rows.append(
                {
                    "stage": stage, "jobs": len(table), "wall": float(table["s"].sum()), "cpu": float(table["cpu_time"].sum()),
                    "memory": float(table["max_rss"].max()),
                }
            )  # fmt: skip
    return rows


def facts(project: Project, benchmark: BenchmarkFiles) -> dict[str, Any]:
    """Return configuration, weights, hashes, versions and run records of one benchmark for the page."""
    record = benchmark.record
    runs = [run for method in benchmark.config.methods for run in benchmark.runs(method)]
    first = runs[0].record
    return {
        "config": effective_config(project, benchmark),
        "extractor": flatten(benchmark.extractor),
        "random_weights": benchmark.random_weights,
        "embeddings": flatten(record.embeddings or {}),
        "hashes": flatten(record.hashes.model_dump()),
        "versions": flatten({"avzsl": __version__} | (first.versions)),
        "hardware": flatten(first.hardware),
        "costs": [
            {"method": run.method, "seed": run.seed, "stages": run.history.groupby("stage")["seconds"].sum().to_dict(), "seconds": run.record.seconds, "epoch": run.record.epoch, "beta": run.record.beta}
            for run in runs
        ],
        "records": [(f"{run.method}, seed {run.seed}", json.dumps(run.record.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)) for run in runs],
        "sources": [(m.title, m.source) for m in (project.method(name, benchmark.config).config for name in benchmark.config.methods)],
        "presets": preset_choices(project, benchmark),
        "stages": stage_costs(benchmark),
        "command": f"snakemake --cores all {Places(Path(project.config.results)).benchmark_table(benchmark.name)}",
    }  # fmt: skip
