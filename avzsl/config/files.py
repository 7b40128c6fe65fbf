"""The YAML files of a project: data sets, feature sets and methods, looked for in several folders."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from avzsl.config import shipped
from avzsl.config.errors import first_line
from avzsl.config.plugins import suggest
from avzsl.config.read import read_yaml
from avzsl.contracts.errors import ConfigError

# The YAML files that come with avzsl.
SHIPPED = shipped.CONFIG

Model = TypeVar("Model", bound=BaseModel)
Folders = tuple[Path, ...]


def find(folders: Folders, kind: str, name: str, model: type[Model]) -> Model:
    """Return the file NAME.yaml of `kind` (datasets, features) as a model; raises ConfigError if there is none."""
    return parse(path_of(folders, kind, name), model)


def path_of(folders: Folders, kind: str, name: str) -> Path:
    """Return where the first file of that name is; raises ConfigError, which lists what there is."""
    for folder in folders:
        path = folder / kind / f"{name}.yaml"
        if path.is_file():
            return path
    known = sorted({p.stem for folder in folders for p in (folder / kind).glob("*.yaml")})
    raise ConfigError(f"{kind}: there is no {kind}/{name}.yaml in {shown(folders[0])}; {suggest(name, known)}")


def parse(path: Path, model: type[Model]) -> Model:
    """Return a file as a model; raises ConfigError, one line with file and key. An edited file is read again."""
    return _parse(path, model, path.stat().st_mtime_ns)


def content(path: Path) -> Any:
    """Return what a file holds, unchecked."""
    return _content(path, path.stat().st_mtime_ns)


def validate(path: Path, model: type[Model], values: Any) -> Model:
    """Return values as a model; raises ConfigError, one line with file and key."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(first_line(shown(path), error, model)) from error


def shown(path: Path) -> str:
    """Return a path as people like to read it: relative where it lies below the working folder."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


@cache
def _content(path: Path, mtime: int) -> Any:
    del mtime  # part of the cache key only
    return read_yaml(path)


@cache
def _parse(path: Path, model: type[Model], mtime: int) -> Model:
    return validate(path, model, _content(path, mtime))
