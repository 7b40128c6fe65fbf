"""Read and check the configuration; every mistake is one line with file and key."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from avzsl.config import shipped
from avzsl.config.base import Preset
from avzsl.config.dataset import DatasetConfig
from avzsl.config.features import FeaturesConfig
from avzsl.config.methods import MethodConfig, Option, Overrides, TrainingConfig, VariantConfig
from avzsl.config.project import BenchmarkConfig, ProjectConfig
from avzsl.contracts.errors import ConfigError

# The YAML files that come with avzsl.
SHIPPED = shipped.CONFIG

Model = TypeVar("Model", bound=BaseModel)


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


@dataclass(frozen=True)
class Method:
    """A method as one benchmark runs it."""

    name: str
    config: MethodConfig
    options: dict[str, Option] = field(default_factory=dict)
    training: TrainingConfig = field(default_factory=TrainingConfig)


@dataclass(frozen=True)
class Project:
    """The checked configuration and the files it came from."""

    config: ProjectConfig
    folders: tuple[Path, ...]  # where datasets/, features/ and methods/ are looked for, in order
    benchmarks: dict[str, Benchmark]

    @property
    def shared_cache(self) -> Path | None:
        """Return the folder of work shared with other projects, if there is one; ~ and variables are expanded."""
        return Path(os.path.expandvars(self.config.cache)).expanduser().absolute() if self.config.cache else None

    def dataset(self, name: str) -> DatasetConfig:
        """Return a data set's configuration; raises ConfigError if there is none of that name."""
        return _find(self.folders, "datasets", name, DatasetConfig)

    def features(self, name: str) -> FeaturesConfig:
        """Return a feature set's configuration; raises ConfigError if there is none of that name."""
        return _find(self.folders, "features", name, FeaturesConfig)

    def method(self, name: str, benchmark: Benchmark) -> Method:
        """Return a method with its options and training for one benchmark.

        Raises ConfigError if an override names an option that the method does not have, or changes its type.
        """
        config, own = _find_method(self.folders, name)
        layers = [
            (f"presets.{benchmark.preset}", config.presets.get(benchmark.preset)),
            (f"datasets.{benchmark.dataset}", config.datasets.get(benchmark.dataset)),
            (
                f"datasets.{benchmark.dataset}/{benchmark.features}",
                config.datasets.get(f"{benchmark.dataset}/{benchmark.features}"),
            ),
            ("variant", own),
            (f"methods of data set {benchmark.dataset}", self.dataset(benchmark.dataset).methods),
            (f"benchmarks.{benchmark.name}.overrides", benchmark.overrides),
        ]
        options: dict[str, Option] = dict(config.options)
        training: dict[str, Any] = config.training.model_dump()
        for where, layer in layers:
            if layer is None:
                continue
            for key, value in layer.options.items():
                # A data set or benchmark speaks to all its methods: an option only some have is theirs alone,
                # but inside a method's own file it is a typing mistake.
                if key not in options:
                    if where.startswith(("presets", "datasets", "variant")):
                        raise ConfigError(
                            f"methods/{name}.yaml: {where}.options.{key}: unknown option; known: {', '.join(sorted(options))}"
                        )
                    continue
                options[key] = _same_kind(value, options[key], f"method {name}: {where}.options.{key}")
            training.update(layer.training)
        try:
            return Method(name, config, options, TrainingConfig.model_validate(training))
        except ValidationError as error:
            raise ConfigError(first_line(f"method {name}, training", error)) from error


def load_project(path: str | Path | None = None, values: dict[str, Any] | None = None) -> Project:
    """Read the project's configuration and everything it names.

    `path` is a YAML file; `values` (the merged configuration that Snakemake hands over) takes its
    place when given. Data sets, feature sets and methods are looked for beside the file first and
    in the configuration that comes with avzsl second.

    Raises ConfigError, one readable line with file and key, for an unknown key, a wrong value or a
    name that leads nowhere.
    """
    path = Path(path) if path is not None else SHIPPED / "config.yaml"
    values = _read_yaml(path) if values is None else values
    config = _validate(path, ProjectConfig, values)
    folders = tuple(dict.fromkeys([path.resolve().parent, Path.cwd() / "config", SHIPPED]))
    benchmarks = {name: _fill(name, body, config, folders) for name, body in config.benchmarks.items()}
    project = Project(config, folders, benchmarks)
    for benchmark in benchmarks.values():
        project.features(benchmark.features)
        for method in benchmark.methods:
            project.method(method, benchmark)
        _check_options_used(project, benchmark)
    return project


def job_project(config: dict[str, Any]) -> Project:
    """Return the project inside a job of the workflow, from the configuration that Snakemake hands over."""
    values = dict(config)
    return load_project(values.pop("configfile"), values)


def _fill(name: str, body: BenchmarkConfig, config: ProjectConfig, folders: tuple[Path, ...]) -> Benchmark:
    dataset = _find(folders, "datasets", body.dataset, DatasetConfig)
    split = body.split or next(iter(dataset.splits))
    if split not in dataset.splits:
        raise ConfigError(
            f"benchmarks.{name}.split: data set {body.dataset!r} has no split {split!r}; it has {', '.join(dataset.splits)}"
        )
    return Benchmark(
        name, body.dataset, split, body.features or dataset.features, body.preset or config.preset,
        body.methods or config.methods, body.seeds or config.seeds, body.overrides,
    )  # fmt: skip


def _check_options_used(project: Project, benchmark: Benchmark) -> None:
    known: set[str] = set()
    for method in benchmark.methods:
        known |= set(project.method(method, benchmark).options)
    for where, layer in (
        (f"datasets/{benchmark.dataset}.yaml: methods", project.dataset(benchmark.dataset).methods),
        (f"benchmarks.{benchmark.name}.overrides", benchmark.overrides),
    ):
        for key in layer.options:
            if key not in known:
                raise ConfigError(
                    f"{where}.options.{key}: no method of this benchmark has this option; known: {', '.join(sorted(known))}"
                )


def _find_method(folders: tuple[Path, ...], name: str) -> tuple[MethodConfig, Overrides | None]:
    """Return a method's configuration and, for a variant, what it changes of the method it is a variant of."""
    path = _path(folders, "methods", name)
    if not _is_variant(path):
        return _load(path, MethodConfig, path.stat().st_mtime_ns), None
    variant = _load(path, VariantConfig, path.stat().st_mtime_ns)
    if _is_variant(_path(folders, "methods", variant.variant_of)):
        raise ConfigError(
            f"{path}: variant_of: {variant.variant_of!r} is itself a variant; name the method that it varies"
        )
    other = _find(folders, "methods", variant.variant_of, MethodConfig)
    options = dict(other.options)
    for key, value in variant.options.items():
        if key not in options and variant.module is None:
            raise ConfigError(
                f"{path}: options.{key}: {variant.variant_of} has no such option; known: {', '.join(sorted(options))}"
            )
        options.setdefault(key, value)
    changes = {"title": variant.title, "source": variant.source, "module": variant.module or other.module}
    return other.model_copy(update={**changes, "options": options}), Overrides(
        options=variant.options, training=variant.training
    )


def _is_variant(path: Path) -> bool:
    values = _read_yaml(path)
    return isinstance(values, dict) and "variant_of" in values


def _find(folders: tuple[Path, ...], kind: str, name: str, model: type[Model]) -> Model:
    path = _path(folders, kind, name)
    return _load(path, model, path.stat().st_mtime_ns)


def _path(folders: tuple[Path, ...], kind: str, name: str) -> Path:
    for folder in folders:
        path = folder / kind / f"{name}.yaml"
        if path.is_file():
            return path
    known = sorted({p.stem for folder in folders for p in (folder / kind).glob("*.yaml")})
    raise ConfigError(f"{kind}: there is no {kind}/{name}.yaml in {folders[0]}; known: {', '.join(known) or 'none'}")


@cache
def _load(path: Path, model: type[Model], mtime: int) -> Model:
    del mtime  # part of the cache key only: an edited file is read again
    return _validate(path, model, _read_yaml(path))


def _read_yaml(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}" if place is not None else ""
        raise ConfigError(f"{path}{line}: is not valid YAML: {getattr(error, 'problem', error)}") from error


def _validate(path: Path, model: type[Model], values: Any) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(first_line(str(path), error)) from error


def first_line(where: str, error: ValidationError) -> str:
    """Put the first of pydantic's findings on one line: file, key, what is wrong, what it got."""
    errors = error.errors(include_url=False)
    first = errors[0]
    key = ".".join(str(part) for part in first["loc"]) or "(top level)"
    message = (
        "unknown key" if first["type"] == "extra_forbidden" else first["msg"].replace("Input should be", "must be")
    )
    got = "" if first["type"] in {"missing", "extra_forbidden"} else f", got {first['input']!r}"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{where}: {key}: {message}{got}{more}"


def _same_kind(value: Option, default: Option, where: str) -> Option:
    if default is None or value is None or type(value) is type(default):
        return value
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    raise ConfigError(f"{where}: must be {type(default).__name__}, got {value!r}")
