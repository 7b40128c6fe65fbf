"""A checked project as a record: what jobs are told of it, and what a results folder keeps of the run that built it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from avzsl.config.dataset import DatasetConfig
from avzsl.config.features import FeaturesConfig
from avzsl.config.errors import first_line
from avzsl.config.files import parse, path_of
from avzsl.config.layers import Method
from avzsl.config.load import Benchmark, Project, load_project
from avzsl.config.methods import MethodConfig, Overrides, TrainingConfig
from avzsl.config.project import ProjectConfig
from avzsl.config.read import read_yaml
from avzsl.contracts.errors import ConfigError, CorruptError
from avzsl.contracts.records import read_record, write_record
from avzsl.results.places import Places

logger = logging.getLogger(__name__)

# How pydantic writes a SecretStr: secrets are in no record.
_SECRET = "**********"
# Where and how a project is built, never what comes out.
_HOW = {"results", "data", "cache", "device", "tracking"}


@dataclass(frozen=True)
class RecordedProject(Project):
    """A project that knows its own parts; others are looked for in its folders."""

    datasets: dict[str, DatasetConfig] = field(default_factory=dict)
    feature_sets: dict[str, FeaturesConfig] = field(default_factory=dict)
    methods: dict[str, dict[str, Method]] = field(default_factory=dict)  # by benchmark and name

    def file(self, kind: str, name: str) -> str:
        return f"{kind}/{name}.yaml"

    def dataset(self, name: str) -> DatasetConfig:
        return self.datasets[name] if name in self.datasets else super().dataset(name)

    def features(self, name: str) -> FeaturesConfig:
        return self.feature_sets[name] if name in self.feature_sets else super().features(name)

    def method(self, name: str, benchmark: Benchmark) -> Method:
        known = self.methods.get(benchmark.name, {})
        return known[name] if name in known else super().method(name, benchmark)


def dataset_part(dataset: DatasetConfig, *sections: str) -> dict[str, Any]:
    """Return sections of a data set's configuration as JSON-like values, without secrets."""
    return dataset.model_dump(mode="json", include=set(sections))


def media_part(dataset: DatasetConfig) -> dict[str, Any]:
    """Return what decides how a shard's clips are fetched and kept; which these are is in the shard's table."""
    part = dataset_part(dataset, "sources", "media")
    return {**part, "media": {key: value for key, value in part["media"].items() if key not in {"what", "order"}}}


def dataset_of(part: dict[str, Any], secrets: str | None = None) -> DatasetConfig:
    """Return a data set's configuration with the sections of `dataset_part`; the others hold nothing of use.

    `secrets` is the YAML file whose `sources` hold the secrets that the part leaves out (`secrets_of`).
    Raises ConfigError if that file no longer has the sources that the part was made from.
    """
    unused = {"catalog": {"module": "folder"}, "embeddings": {"table": "demo"}}
    dataset = DatasetConfig.model_validate({**unused, **part})
    if secrets is None:
        return dataset
    whole = parse(Path(secrets), DatasetConfig)
    if dataset_part(whole, "sources") != dataset_part(dataset, "sources"):
        raise ConfigError(f"{secrets}: sources: have changed since this run was planned; run again")
    return dataset.model_copy(update={"sources": whole.sources})


def secrets_of(project: Project, name: str) -> str | None:
    """Return the file of a data set whose sources hold secrets, None if they hold none."""
    if _SECRET not in str(dataset_part(project.dataset(name), "sources")):
        return None
    return _spelled(path_of(project.folders, "datasets", name))


def record_of(project: Project, benchmarks: Iterable[str] | None = None) -> dict[str, Any]:
    """Return everything that decides what is built, every default and override filled in, without secrets.

    `benchmarks`: these alone.
    """
    chosen = [project.benchmarks[name] for name in (project.benchmarks if benchmarks is None else benchmarks)]
    return {
        "benchmarks": {benchmark.name: _benchmark(benchmark) for benchmark in chosen},
        "datasets": {b.dataset: project.dataset(b.dataset).model_dump(mode="json") for b in chosen},
        "feature_sets": {b.features: project.features(b.features).model_dump(mode="json") for b in chosen},
        "methods": {b.name: {name: _method(project.method(name, b)) for name in b.methods} for b in chosen},
    }


def outline_of(project: Project, benchmarks: Iterable[str]) -> dict[str, Any]:
    """Return what tables of results need of a project: who competes on what, and by which split."""
    chosen = [project.benchmarks[name] for name in benchmarks]
    return {
        "benchmarks": {b.name: {**_benchmark(b), "overrides": {}} for b in chosen},
        "datasets": {name: _outline(project.dataset(name), chosen) for name in dict.fromkeys(b.dataset for b in chosen)},
    }


def project_of(record: dict[str, Any], results: str | None = None) -> RecordedProject:
    """Return the project of `record_of`, `outline_of` or `write_project`.

    Raises ValidationError or KeyError for anything else.
    """
    benchmarks = {name: _read_benchmark(name, values) for name, values in record["benchmarks"].items()}
    config = {key: value for key, value in record.get("config", {}).items() if value is not None}
    if results is not None:
        config["results"] = results
    named = {name: {"dataset": benchmark.dataset} for name, benchmark in benchmarks.items()}
    secrets: dict[str, str | None] = record.get("secrets", {})
    return RecordedProject(
        ProjectConfig.model_validate({**config, "benchmarks": named}),
        tuple(Path(folder) for folder in record.get("folders", ())),
        benchmarks,
        datasets={name: dataset_of(part, secrets.get(name)) for name, part in record.get("datasets", {}).items()},
        feature_sets={name: FeaturesConfig.model_validate(v) for name, v in record.get("feature_sets", {}).items()},
        methods={
            benchmark: {name: _read_method(name, values) for name, values in methods.items()}
            for benchmark, methods in record.get("methods", {}).items()
        },
    )


def write_project(project: Project) -> None:
    """Keep in the results folder what it is built from, for commands that come later; a full disk costs a warning."""
    datasets = {benchmark.dataset for benchmark in project.benchmarks.values()}
    record = {
        **record_of(project),
        "config": project.config.model_dump(mode="json", include=_HOW | {"preset"}),
        "folders": [_spelled(folder) for folder in project.folders],
        "secrets": {name: secrets_of(project, name) for name in sorted(datasets)},
    }
    path = Places(Path(project.config.results)).project
    try:
        write_record(path, record)
    except OSError as error:
        logger.warning("%s: cannot be written (%s)", path, error.strerror or error)


def read_project(results: Path) -> RecordedProject | None:
    """Return the project that the last run built in a results folder; None if no run did.

    Raises CorruptError if the record is not as it was written.
    """
    path = Places(results).project
    if not path.is_file():
        return None
    try:
        return project_of(read_record(path), str(results))
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        problem = first_line("", error).removeprefix(": ") if isinstance(error, ValidationError) else repr(error)
        raise CorruptError(
            path, f"is not the project of this version ({problem}); run snakemake, or name the configuration: --config"
        ) from error


def find_project(config: str | None = None, results: str | None = None) -> Project:
    """Return the project that a command is about.

    `config` names a YAML file. Otherwise it is what the last run built in the folder `results`, by default the one
    that config/config.yaml names (without it: results); before a first run, config/config.yaml itself.
    Raises ConfigError if there is neither.
    """
    if config is not None:
        return load_project(config)
    usual = Path("config/config.yaml")
    if results is None:
        # The folder is named there even where the rest of the file is being edited.
        values = read_yaml(usual) if usual.is_file() else {}
        results = str(values.get("results") or "results") if isinstance(values, dict) else "results"
    recorded = read_project(Path(results))
    if recorded is not None:
        return recorded
    if usual.is_file():
        own = load_project(usual)
        if Path(own.config.results) == Path(results):
            return own
    raise ConfigError(
        f"{results}: no run has built anything here; run snakemake first, name another folder with --results, or a "
        "configuration with --config"
    )


def _spelled(path: Path) -> str:
    """Return a path relative to the working directory where it lies inside, so that a project can be moved."""
    absolute = path.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)


def _benchmark(benchmark: Benchmark) -> dict[str, Any]:
    return {
        "dataset": benchmark.dataset, "split": benchmark.split, "features": benchmark.features, "preset": benchmark.preset,
        "methods": list(benchmark.methods), "seeds": list(benchmark.seeds),
        "overrides": benchmark.overrides.model_dump(mode="json"), "group": benchmark.group,
    }  # fmt: skip


def _read_benchmark(name: str, values: dict[str, Any]) -> Benchmark:
    return Benchmark(
        name, values["dataset"], values["split"], values["features"], values["preset"], tuple(values["methods"]),
        tuple(values["seeds"]), Overrides.model_validate(values["overrides"]), values["group"],
    )  # fmt: skip


def _outline(dataset: DatasetConfig, chosen: list[Benchmark]) -> dict[str, Any]:
    """Return what tables need of a data set; of its splits, those that benchmarks use."""
    part = dataset_part(dataset, "splits", "shards", "multilabel")
    used = {benchmark.split for benchmark in chosen}
    return {**part, "splits": {name: split for name, split in part["splits"].items() if name in used}}


def _method(method: Method) -> dict[str, Any]:
    """Return a method as its benchmark runs it: what its file says for others is left out."""
    apart = {"presets", "datasets", "variants"} | (set() if method.training.search_trials else {"search"})
    return {
        "config": method.config.model_dump(mode="json", exclude=apart),
        "options": dict(method.options),
        "training": method.training.model_dump(mode="json"),
    }


def _read_method(name: str, values: dict[str, Any]) -> Method:
    config = MethodConfig.model_validate(values["config"])
    return Method(name, config, values["options"], TrainingConfig.model_validate(values["training"]))


def run_settings(project: Project, benchmark: Benchmark, name: str) -> dict[str, Any]:
    """Return what the result of a run depends on, as JSON-like values: a change of it, and of nothing else, is another run."""
    method = project.method(name, benchmark)
    training = method.training.model_dump(mode="json", exclude={"checkpoint_seconds"})
    return {
        "dataset": benchmark.dataset, "split": benchmark.split, "features": benchmark.features, "preset": benchmark.preset,
        "module": method.config.module, "inputs": method.config.inputs, "options": dict(method.options), "training": training,
        "search": method.config.search if method.training.search_trials else {},
    }  # fmt: skip


def run_of(
    settings: dict[str, Any], benchmark: str, method: str, seed: int, checkpoint_seconds: float
) -> tuple[Benchmark, Method]:
    """Return benchmark and method of one run from its `run_settings`."""
    training = TrainingConfig.model_validate({**settings["training"], "checkpoint_seconds": checkpoint_seconds})
    config = MethodConfig.model_validate(
        {"title": method, "source": "", "module": settings["module"], "inputs": settings["inputs"], "options": settings["options"], "search": settings["search"]}
    )  # fmt: skip
    place = Benchmark(
        benchmark, settings["dataset"], settings["split"], settings["features"], settings["preset"], (method,), (seed,),
        Overrides(),
    )  # fmt: skip
    return place, Method(method, config, settings["options"], training)
