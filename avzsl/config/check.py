"""What a configuration needs of this machine, and of a catalogue that is built: looked at before anything runs.

`avzsl.config.load` checks the files against their models; jobs, which read the configuration again, need no more. Here
are the things that can be missing: weights, tables, folders, classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from avzsl.config import plugins
from avzsl.config.base import local_paths
from avzsl.config.files import SHIPPED, shown
from avzsl.config.load import Benchmark, Project
from avzsl.contracts.errors import AvzslError, ConfigError
from avzsl.contracts.hashing import sha256_value
from avzsl.contracts.records import read_record


def check_machine(project: Project) -> None:
    """Check everything that the benchmarks of a project name on this machine.

    Raises ConfigError, one line with file and key: a missing weights file, an embeddings table that is not there, a wrong
    `catalog.root`, a class in `force` or `phrases` that the catalogue does not have.
    """
    for dataset in dict.fromkeys(benchmark.dataset for benchmark in project.benchmarks.values()):
        where = project.file("datasets", dataset)
        config = project.dataset(dataset)
        options = project.options_of_catalog(dataset)
        _check_paths(options, where, "catalog.")
        catalog = plugins.load(plugins.CATALOG, config.catalog.module)
        for name, split in config.splits.items():
            _check_paths(split, where, f"splits.{name}.")
        _check_embeddings(project, dataset, where)
        known = _class_names(project, dataset, catalog, options)
        if known is not None:
            _check_classes(config.phrases, known, f"{where}: phrases")
            for name, split in config.splits.items():
                _check_classes(split.force, known, f"{where}: splits.{name}.force")
    for features in dict.fromkeys(benchmark.features for benchmark in project.benchmarks.values()):
        check_features(project, features)
    for benchmark in project.benchmarks.values():
        _check_methods(project, benchmark)
        features_config = project.features(benchmark.features)
        if features_config.imported and not (folder := features_config.imported_from(benchmark.dataset)).exists():
            where = project.file("features", benchmark.features)
            key = "released" if features_config.arrays is None else "arrays"
            raise ConfigError(f"{where}: {key}: there is no folder {folder}; put the features there")


def check_features(project: Project, name: str) -> None:
    """Check what a feature set needs of this machine: weights, packages; raises ConfigError, one line with file and key."""
    options = project.options_of_extractor(name)
    if options is None:
        return
    where = project.file("features", name)
    # Nobody edits a file inside an installed package.
    if where == str(SHIPPED / "features" / f"{name}.yaml"):
        where = f"config/features/{name}.yaml (copy {where} there)"
    _check_paths(options, where, "")
    _check_part(plugins.load(plugins.EXTRACTOR, project.features(name).extractor), options, where)


def _check_paths(section: BaseModel, where: str, prefix: str) -> None:
    missing = [
        f"{prefix}{key}: there is no {mark.what} {path}"
        for key, mark, path in local_paths(section)
        if not {"file": path.is_file, "folder": path.is_dir, "file or folder": path.exists}[mark.what]()
    ]
    if missing:
        raise ConfigError(f"{where}: {'; '.join(missing)}; correct the {'path' if len(missing) == 1 else 'paths'}")


def _check_embeddings(project: Project, dataset: str, where: str) -> None:
    options = project.options_of_embeddings(dataset)
    _check_paths(options, where, "embeddings.")
    _check_part(plugins.load(plugins.BACKEND, project.dataset(dataset).embeddings.backend), options, where)


def _check_part(module: Any, options: BaseModel, where: str) -> None:
    """Call a module's own `check`, if it has one, and say in which file its complaint is at home."""
    hook = getattr(module, "check", None)
    if hook is not None:
        try:
            hook(options)
        except AvzslError as error:
            raise ConfigError(f"{where}: {error}") from error


def _check_methods(project: Project, benchmark: Benchmark) -> None:
    """Ask methods whose options' model has `suits` whether they can run on the features of a benchmark."""
    features = project.features(benchmark.features)
    extractor = None if features.imported else features.extractor
    given = project.options_of_extractor(benchmark.features)
    for name in benchmark.methods:
        suits = getattr(
            plugins.options_model(plugins.METHOD, project.method(name, benchmark).config.module), "suits", None
        )
        needs = None if suits is None else suits(extractor, given)
        if needs is not None:
            raise ConfigError(
                f"{shown(project.source)}: benchmarks.{benchmark.group or benchmark.name}: the method {name} needs {needs}, "
                f"not {benchmark.features!r}; choose other features, or list `methods` without it"
            )


def _class_names(project: Project, dataset: str, catalog: Any, options: BaseModel) -> set[str] | None:
    """Return the classes of a data set, None where nobody knows them yet."""
    hook = getattr(catalog, "class_names", None)
    if hook is not None:
        return set(hook(options))
    try:
        content = read_record(Path(project.config.results) / dataset / "catalog" / "catalog.json")
    except AvzslError:
        return None
    # A catalogue of other options is about to be made again; its classes say nothing.
    names = (
        content.get("class_names") if content.get("options") == sha256_value(options.model_dump(mode="json")) else None
    )
    return set(names) if isinstance(names, list) else None


def _check_classes(given: Iterable[str], known: set[str], where: str) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(f"{where}.{name}: the data set has no such class; {plugins.suggest(name, sorted(known))}")
