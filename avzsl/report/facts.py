"""What one would need to know to believe, cite or repeat a result."""

from __future__ import annotations

import json
from typing import Any

import yaml

from avzsl import __version__
from avzsl.config.load import Project
from avzsl.report.results import BenchmarkFiles


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
            "options": method.options, "training": method.training.model_dump(mode="json"),
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


def facts(project: Project, benchmark: BenchmarkFiles) -> dict[str, Any]:
    """Return configuration, weights, hashes, versions and run records of one benchmark for the page."""
    record = benchmark.record
    runs = [run for method in benchmark.config.methods for run in benchmark.runs(method)]
    first = runs[0].record
    return {
        "config": effective_config(project, benchmark),
        "extractor": flatten(benchmark.extractor),
        "random_weights": benchmark.random_weights,
        "embeddings": flatten(record.get("embeddings") or {}),
        "hashes": flatten(record.get("hashes") or {}),
        "versions": [("avzsl", __version__), *flatten(first.get("versions") or {})],
        "hardware": flatten(first.get("hardware") or {}),
        "costs": [
            {"method": run.method, "seed": run.seed, "seconds": run.record.get("seconds"), "epoch": run.record.get("epoch"), "beta": run.record.get("beta")}
            for run in runs
        ],
        "records": [(f"{run.method}, seed {run.seed}", json.dumps(run.record, indent=1, sort_keys=True, ensure_ascii=False)) for run in runs],
        "sources": [(m.title, m.source) for m in (project.method(name, benchmark.config).config for name in benchmark.config.methods)],
        "command": f"snakemake --cores all --config benchmarks={benchmark.name}",
    }  # fmt: skip
