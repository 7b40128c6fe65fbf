"""Read what the earlier stages wrote: one object a benchmark, one a run. Where the files are, `avzsl.results` knows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avzsl.benchmark.data import TEST
from avzsl.config.load import Benchmark, Project
from avzsl.config.splits import SplitConfig
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.records import read_record
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
from avzsl.results.places import Places, RunPlaces, shard_name
from avzsl.results.records import BenchmarkRecord, RunRecord, read_benchmark, read_run


@dataclass(frozen=True)
class RunFiles:
    """One method trained with one seed."""

    places: RunPlaces
    method: str
    seed: int

    @property
    def folder(self) -> Path:
        return self.places.folder

    @property
    def finished(self) -> bool:
        """Whether its record, written last, is there."""
        return self.places.record.is_file()

    @cached_property
    def record(self) -> RunRecord:
        """Content of run.json."""
        return read_run(self.places.record)

    @cached_property
    def history(self) -> pd.DataFrame:
        return read_table(self.places.history, HISTORY)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        return read_table(self.places.predictions, PREDICTIONS)

    @cached_property
    def scores(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Arrays and header of scores.safetensors."""
        return read_arrays(self.places.scores)


@dataclass(frozen=True)
class BenchmarkFiles:
    """One benchmark of the configuration and everything that its rows came from."""

    config: Benchmark
    split: SplitConfig
    results: Path
    shards: int = 1
    labels: str | None = None  # the data set's `multilabel`
    finished_only: bool = False  # leave runs aside that are not there yet

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def places(self) -> Places:
        return Places(self.results)

    @property
    def folder(self) -> Path:
        return self.places.benchmark(self.name)

    @property
    def embeddings_path(self) -> Path:
        return self.places.embeddings(self.config.dataset)

    @property
    def pack(self) -> Path:
        return self.places.pack(self.config.dataset, self.config.features)

    @cached_property
    def record(self) -> BenchmarkRecord:
        """Content of benchmark.json."""
        return read_benchmark(self.places.benchmark_record(self.name))

    @cached_property
    def clips(self) -> pd.DataFrame:
        return read_table(self.places.benchmark_clips(self.name), BENCHMARK_CLIPS)

    @cached_property
    def classes(self) -> pd.DataFrame:
        return read_table(self.places.benchmark_classes(self.name), BENCHMARK_CLASSES)

    @cached_property
    def sources(self) -> dict[str, str]:
        """Source of every clip that is tested: of the catalogue's millions those alone."""
        table = read_table(self.places.catalog_clips(self.config.dataset), CLIPS, ("clip_id", "source_id"))
        return self._tested(table)

    @cached_property
    def categories(self) -> pd.Series:
        """Category of every class whose clips have one, by class_name: its first clip's."""
        table = read_table(self.places.catalog_clips(self.config.dataset), CLIPS, ("class_name", "category"))
        return table.dropna(subset=["category"]).drop_duplicates("class_name").set_index("class_name")["category"]

    @cached_property
    def catalog_classes(self) -> pd.DataFrame:
        return read_table(self.places.catalog_classes(self.config.dataset), CLASSES)

    @cached_property
    def media_paths(self) -> dict[str, str]:
        """Media file of every clip that is tested and was fetched; none where features were imported."""
        shards = [self.places.manifest(self.config.dataset, shard_name(shard)) for shard in range(self.shards)]
        found: dict[str, str] = {}
        for path in shards:
            if path.is_file():
                found |= self._tested(read_table(path, MEDIA, ("clip_id", "path")).dropna())
        return found

    @cached_property
    def _tested_ids(self) -> frozenset[str]:
        clips = self.clips
        return frozenset(clips.loc[clips["usable"] & clips["subset"].isin(TEST), "clip_id"])

    def _tested(self, table: pd.DataFrame) -> dict[str, str]:
        """Return the second column of a table by clip_id, its first, for the clips that are tested."""
        key, value = table.columns
        own = table[table[key].isin(self._tested_ids)]
        return dict(zip(own[key], own[value], strict=True))

    @cached_property
    def split_classes(self) -> pd.DataFrame:
        return read_table(self.places.split_classes(self.config.dataset, self.config.split), SPLIT_CLASSES)

    @cached_property
    def audio_network(self) -> dict[str, Any] | None:
        """How a network of the features was trained here; None for other features."""
        path = self.places.audio_network_record(self.config.dataset, self.config.features)
        return read_record(path) if path.is_file() else None

    @property
    def audit_path(self) -> Path:
        return self.places.audit(self.config.dataset, self.config.split)

    @cached_property
    def audit(self) -> dict[str, Any]:
        return read_record(self.audit_path)

    @cached_property
    def extractor(self) -> dict[str, Any]:
        """What made the features: name, windows, weights, random_weights, execution."""
        return dict(self.record.extractor or {})

    @property
    def random_weights(self) -> bool:
        return self.record.random_weights

    def runs(self, method: str) -> list[RunFiles]:
        """The configured seeds of one method, in the configuration's order."""
        runs = [RunFiles(self.places.run(self.name, method, seed), method, seed) for seed in self.config.seeds]
        return [run for run in runs if run.finished] if self.finished_only else runs


def open_benchmarks(project: Project, results: Path) -> list[BenchmarkFiles]:
    """Return every configured benchmark; files are read when they are asked for."""
    found = []
    for benchmark in project.benchmarks.values():
        dataset = project.dataset(benchmark.dataset)
        found.append(
            BenchmarkFiles(
                benchmark,
                dataset.splits[benchmark.split],
                results,
                dataset.shards * dataset.media.parts,
                dataset.multilabel,
            )
        )
    return found
