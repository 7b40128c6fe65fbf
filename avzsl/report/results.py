"""Read what the earlier stages wrote: one object a benchmark, one a run. The layout is docs/architecture.md's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from avzsl.config.load import Benchmark, Project
from avzsl.config.splits import SplitConfig
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.atomic import read_json
from avzsl.contracts.errors import DataError
from avzsl.contracts.schemas import (
    BENCHMARK_CLASSES,
    BENCHMARK_CLIPS,
    CLASSES,
    CLIPS,
    HISTORY,
    MEDIA,
    PREDICTIONS,
    SPLIT_CLASSES,
)
from avzsl.contracts.tables import read_table


def read_header(path: Path) -> dict[str, Any]:
    """Read the header of a file of `write_arrays` without its arrays; raises DataError that names the file."""
    if not path.is_file():
        raise DataError(path, "does not exist")
    try:
        with safe_open(path, framework="numpy") as stream:
            return json.loads((stream.metadata() or {})["avzsl"])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise DataError(path, f"is not a whole file of arrays ({error}); delete it and run again") from error


@dataclass(frozen=True)
class RunFiles:
    """One method trained with one seed."""

    folder: Path
    method: str
    seed: int

    @cached_property
    def record(self) -> dict[str, Any]:
        """Content of run.json."""
        return read_json(self.folder / "run.json")

    @cached_property
    def history(self) -> pd.DataFrame:
        return read_table(self.folder / "history.parquet", HISTORY)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        return read_table(self.folder / "predictions.parquet", PREDICTIONS)

    @cached_property
    def scores(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and header of scores.safetensors."""
        return read_arrays(self.folder / "scores.safetensors")


@dataclass(frozen=True)
class BenchmarkFiles:
    """One benchmark of the configuration and everything that its rows came from."""

    config: Benchmark
    split: SplitConfig
    results: Path

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def folder(self) -> Path:
        return self.results / "benchmarks" / self.name

    @property
    def dataset_folder(self) -> Path:
        return self.results / self.config.dataset

    @property
    def pack(self) -> Path:
        return self.dataset_folder / "features" / self.config.features / "packed.safetensors"

    @cached_property
    def record(self) -> dict[str, Any]:
        """Content of benchmark.json."""
        return read_json(self.folder / "benchmark.json")

    @cached_property
    def clips(self) -> pd.DataFrame:
        return read_table(self.folder / "clips.parquet", BENCHMARK_CLIPS)

    @cached_property
    def classes(self) -> pd.DataFrame:
        return read_table(self.folder / "classes.parquet", BENCHMARK_CLASSES)

    @cached_property
    def catalog_clips(self) -> pd.DataFrame:
        return read_table(self.dataset_folder / "catalog" / "clips.parquet", CLIPS)

    @cached_property
    def catalog_classes(self) -> pd.DataFrame:
        return read_table(self.dataset_folder / "catalog" / "classes.parquet", CLASSES)

    @cached_property
    def media(self) -> pd.DataFrame:
        """All shards' acquisition manifests, one row a clip."""
        shards = sorted((self.dataset_folder / "media").glob("*.parquet"))
        tables = [read_table(path, MEDIA) for path in shards]
        if not tables:
            return pd.DataFrame(columns=list(MEDIA.columns))
        return pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)

    @cached_property
    def split_classes(self) -> pd.DataFrame:
        return read_table(self.dataset_folder / "splits" / self.config.split / "classes.parquet", SPLIT_CLASSES)

    @property
    def audit_path(self) -> Path:
        return self.dataset_folder / "splits" / self.config.split / "audit.json"

    @cached_property
    def audit(self) -> dict[str, Any]:
        return read_json(self.audit_path)

    @cached_property
    def extractor(self) -> dict[str, Any]:
        """What made the features: name, windows, weights, random_weights, execution."""
        return dict(self.record.get("extractor") or {})

    @property
    def random_weights(self) -> bool:
        return bool(self.extractor.get("random_weights"))

    def runs(self, method: str) -> list[RunFiles]:
        """The configured seeds of one method, in the configuration's order."""
        return [RunFiles(self.folder / "runs" / method / f"seed-{seed}", method, seed) for seed in self.config.seeds]


def open_benchmarks(project: Project, results: Path) -> list[BenchmarkFiles]:
    """Return every configured benchmark; files are read when they are asked for."""
    return [
        BenchmarkFiles(benchmark, project.dataset(benchmark.dataset).splits[benchmark.split], results)
        for benchmark in project.benchmarks.values()
    ]
