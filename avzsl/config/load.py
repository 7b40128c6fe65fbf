"""Read and check the configuration; every mistake is one line with file and key."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avzsl.config import layers, plugins
from avzsl.config.base import Preset, Section, expand
from avzsl.config.dataset import DatasetConfig
from avzsl.config.features import FeaturesConfig
from avzsl.config.files import SHIPPED, Folders, find, path_of, shown, validate
from avzsl.config.layers import Method
from avzsl.config.methods import Overrides
from avzsl.config.project import BenchmarkConfig, ProjectConfig
from avzsl.config.read import read_yaml
from avzsl.contracts.errors import ConfigError

__all__ = ["SHIPPED", "Benchmark", "Method", "Project", "load_project"]


@dataclass(frozen=True)
class Benchmark:
    """A benchmark with every default filled in."""

    name: str
    dataset: str
    split: str
    features: str
    preset: Preset
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    overrides: Overrides
    group: str | None = None  # the configured benchmark that this one is a class split of


@dataclass(frozen=True)
class Project:
    """The checked configuration and the files it came from."""

    config: ProjectConfig
    folders: Folders  # where datasets/, features/ and methods/ are looked for, in order
    benchmarks: dict[str, Benchmark]
    source: Path = SHIPPED / "config.yaml"

    @property
    def shared_cache(self) -> Path | None:
        """Return the folder of work shared with other projects, if there is one; ~ and variables are expanded."""
        return expand(self.config.cache).absolute() if self.config.cache else None

    def dataset(self, name: str) -> DatasetConfig:
        """Return a data set's configuration; raises ConfigError if there is none of that name."""
        return find(self.folders, "datasets", name, DatasetConfig)

    def features(self, name: str) -> FeaturesConfig:
        """Return a feature set's configuration; raises ConfigError if there is none of that name."""
        return find(self.folders, "features", name, FeaturesConfig)

    def method(self, name: str, benchmark: Benchmark) -> Method:
        """Return a method with its options and training for one benchmark.

        Raises ConfigError, one line with file and key, if a setting names an option that the method does not have or gives
        it a wrong value.
        """
        found = layers.find_method(self.folders, name)
        return layers.resolve(
            found, self._overrides(benchmark), benchmark.preset, benchmark.dataset, benchmark.features
        )

    def file(self, kind: str, name: str) -> str:
        """Return the file of a data set or feature set, for messages; `kind` is datasets or features."""
        return shown(path_of(self.folders, kind, name))

    def options_of_catalog(self, dataset: str) -> Section:
        """Return the options of a data set's catalogue; raises ConfigError, one line with file and key."""
        catalog = self.dataset(dataset).catalog
        return plugins.typed(
            plugins.CATALOG, catalog.module, catalog.options, self.file("datasets", dataset), "catalog."
        )

    def options_of_embeddings(self, dataset: str) -> Section:
        """Return the options of a data set's embedding backend; raises ConfigError, one line with file and key."""
        embeddings = self.dataset(dataset).embeddings
        return plugins.typed(
            plugins.BACKEND, embeddings.backend, embeddings.options, self.file("datasets", dataset), "embeddings."
        )

    def options_of_extractor(self, features: str) -> Section | None:
        """Return the options of a feature set's extractor, None where features are imported.

        Raises ConfigError, one line with file and key.
        """
        config, where = self.features(features), self.file("features", features)
        if config.imported:
            if config.options:
                raise ConfigError(f"{where}: {next(iter(config.options))}: has no effect where features are imported")
            return None
        return plugins.typed(plugins.EXTRACTOR, config.extractor, config.options, where)

    def _check_trained(self, benchmark: Benchmark) -> None:
        """Refuse features whose network was trained on another split, which may hold this one's unseen classes."""
        split = self.trained_split(benchmark.dataset, benchmark.features)
        where = self.file("features", benchmark.features)
        if split is not None and split != benchmark.split:
            raise ConfigError(
                f"{where}: train.split: its network would hear the training clips of the split {split!r}, among which may be "
                f"unseen classes of {benchmark.split!r}, the split of benchmark {benchmark.name!r}; use a copy of this file "
                f"under another name with `train: {{split: {benchmark.split}}}`"
            )
        if split is not None and self.dataset(benchmark.dataset).media.keep == "features":
            raise ConfigError(
                f"{self.file('datasets', benchmark.dataset)}: media.keep: the features {benchmark.features} need the media of "
                "all shards at once, to train a network; use clips"
            )

    def trained_split(self, dataset: str, features: str) -> str | None:
        """Return the split on whose training clips a network of a feature set is trained, None where none is."""
        trains = getattr(self.options_of_extractor(features), "trains", None)
        return None if trains is None else trains.split or next(iter(self.dataset(dataset).splits))

    def _overrides(self, benchmark: Benchmark) -> list[layers.Layer]:
        """Return what a benchmark's data set and the benchmark itself change, low to high."""
        path = path_of(self.folders, "datasets", benchmark.dataset)
        return [
            layers.overrides(path, "methods.", self.dataset(benchmark.dataset).methods),
            layers.overrides(self.source, f"benchmarks.{benchmark.name}.overrides.", benchmark.overrides),
        ]

    def check(self) -> None:
        """Check everything that the benchmarks name; raises ConfigError for the first mistake."""
        for dataset in dict.fromkeys(benchmark.dataset for benchmark in self.benchmarks.values()):
            self.options_of_catalog(dataset)
            self.options_of_embeddings(dataset)
        for benchmark in self.benchmarks.values():
            self.options_of_extractor(benchmark.features)
            self._check_trained(benchmark)
            known: set[str] = set()
            for name in benchmark.methods:
                found = layers.find_method(self.folders, name)
                layers.check_file(found)
                known |= layers.known_options(found)
            for layer in self._overrides(benchmark):
                for key in layer.options:
                    if key not in known:
                        raise ConfigError(
                            f"{layer.file}: {layer.prefix}options.{key}: no method of this benchmark has this option; "
                            f"{plugins.suggest(key, sorted(known))}"
                        )
            for name in benchmark.methods:
                self.method(name, benchmark)


def load_project(path: str | Path | None = None, values: dict[str, Any] | None = None) -> Project:
    """Read the project's configuration and everything it names.

    `path` is a YAML file; `values` (the merged configuration that Snakemake hands over) takes its
    place when given. Data sets, feature sets and methods are looked for beside the file first and
    in the configuration that comes with avzsl second.

    Raises ConfigError, one readable line with file and key, for an unknown key, a wrong value or a
    name that leads nowhere.
    """
    # The project's own files come before those that come with avzsl, also where it has no config.yaml.
    beside = [] if path is None else [Path(path).resolve().parent]
    path = Path(path) if path is not None else SHIPPED / "config.yaml"
    values = read_yaml(path) if values is None else values
    config = validate(path, ProjectConfig, values)
    folders = tuple(dict.fromkeys([*beside, Path.cwd() / "config", SHIPPED]))
    benchmarks: dict[str, Benchmark] = {}
    for name, body in config.benchmarks.items():
        benchmarks |= {made.name: made for made in _fill(name, body, config, folders, path)}
    project = Project(config, folders, benchmarks, path)
    project.check()
    return project


def _fill(name: str, body: BenchmarkConfig, config: ProjectConfig, folders: Folders, path: Path) -> list[Benchmark]:
    """Return a benchmark with every default filled in: one, or one for each of its class splits (`folds`)."""
    body = _named_after_split(body, folders)
    dataset = find(folders, "datasets", body.dataset, DatasetConfig)
    split = body.split or next(iter(dataset.splits))
    if body.split is None and dataset.splits[split].fold:
        split = split.rpartition("-")[0]
    folds = dataset.folds_of(split)
    if split not in dataset.splits and not folds:
        known = [*dataset.splits, *{part.rpartition("-")[0] for part, own in dataset.splits.items() if own.fold}]
        raise ConfigError(
            f"{shown(path)}: benchmarks.{name}.split: data set {body.dataset!r} has no split {split!r}; "
            f"{plugins.suggest(split, known)}"
        )
    rest = (
        body.features or dataset.features, body.preset or config.preset,
        body.methods or config.methods, body.seeds or config.seeds, body.overrides,
    )  # fmt: skip
    if not folds:
        return [Benchmark(name, body.dataset, split, *rest)]
    return [
        Benchmark(f"{name}-{number}", body.dataset, part, *rest, group=name) for number, part in enumerate(folds, 1)
    ]


def _named_after_split(body: BenchmarkConfig, folders: Folders) -> BenchmarkConfig:
    """Read a data set `ucf-folds` that has no file as the split `folds` of the data set `ucf`, if there is one."""
    if body.split is not None or _is_dataset(body.dataset, folders):
        return body
    for at in [at for at, letter in enumerate(body.dataset) if letter == "-"]:
        dataset, split = body.dataset[:at], body.dataset[at + 1 :]
        if _is_dataset(dataset, folders):
            known = find(folders, "datasets", dataset, DatasetConfig)
            if split in known.splits or known.folds_of(split):
                return body.model_copy(update={"dataset": dataset, "split": split})
    return body


def _is_dataset(name: str, folders: Folders) -> bool:
    return any((folder / "datasets" / f"{name}.yaml").is_file() for folder in folders)
