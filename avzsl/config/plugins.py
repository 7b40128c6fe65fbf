"""Parts that the configuration names: methods, extractors, catalogues and embedding backends, ours or a third party's.

A name is a module of ours, an entry point of an installed package, or `package.module`. Every part has a model of its
options, a `Section` named `Options`: in the module itself, or, where that imports something heavy such as torch, in the
module of the same name in the package `options` beside it. So a configuration is checked without loading a network.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from avzsl.config.base import Section
from avzsl.config.errors import first_line
from avzsl.contracts.errors import ConfigError

_DECLARES = re.compile(r"^class Options\(", re.MULTILINE)


@dataclass(frozen=True)
class Kind:
    """One kind of part: what people call it, the key that names it, our package, and the group of entry points."""

    noun: str
    key: str
    package: str
    group: str


METHOD = Kind("method module", "module", "avzsl.methods", "avzsl.methods")
EXTRACTOR = Kind("extractor", "extractor", "extractors", "avzsl.extractors")
CATALOG = Kind("catalogue module", "module", "splits.catalogs", "avzsl.catalogs")
BACKEND = Kind("embedding backend", "backend", "avzsl.embeddings.backends", "avzsl.embeddings")
KINDS = (METHOD, EXTRACTOR, CATALOG, BACKEND)


def own(kind: Kind) -> list[str]:
    """Return the names of the parts of this kind that come with avzsl."""
    package = importlib.import_module(kind.package)
    spec = _spec(f"{kind.package}.options")
    places = [*package.__path__, *((spec.submodule_search_locations or ()) if spec else ())]
    found = {module.name for module in pkgutil.iter_modules(places)}
    return sorted(name for name in found if _declares(f"{kind.package}.options.{name}", f"{kind.package}.{name}"))


def registered(kind: Kind) -> dict[str, str]:
    """Return the parts that installed packages register as entry points: name -> module."""
    from importlib.metadata import entry_points  # here, since most names are ours

    return {entry.name: entry.module for entry in entry_points(group=kind.group)}


def module_name(kind: Kind, name: str) -> str:
    """Return the full name of a part's module, without importing it.

    Raises ConfigError, which begins with what is wrong (the caller puts file and key before it), if there is none.
    """
    if "." in name:
        if _spec(name) is None:
            raise ConfigError(f"there is no module {name}; is its package installed in this environment?")
        return name
    ours = f"{kind.package}.{name}"
    if _declares(f"{kind.package}.options.{name}", ours):
        return ours
    others = registered(kind)
    if name in others:
        return others[name]
    raise ConfigError(f"there is no {kind.noun} {name!r}; {suggest(name, [*own(kind), *others])}")


def options_model(kind: Kind, name: str) -> type[Section]:
    """Return the model of a part's options.

    Raises ConfigError, one sentence, if there is no such part, it cannot be imported, or it has no `Options`.
    """
    module = module_name(kind, name)
    package, _, last = module.rpartition(".")
    beside = f"{package}.options.{last}"
    found = beside if package and _spec(beside) is not None else module
    model = getattr(_import(found), "Options", None)
    if not (isinstance(model, type) and issubclass(model, Section)):
        raise ConfigError(f"module {found} has no `class Options(Section)`, the model of the {kind.noun}'s options")
    return model


def typed(kind: Kind, name: str, values: Mapping[str, Any], where: str, prefix: str = "") -> Section:
    """Return a part's options as its model; `where` is the file and `prefix` stands before a key, as in `catalog.`.

    Raises ConfigError, one line with file and key, for an unknown part, an unknown key or a wrong value.
    """
    try:
        model = options_model(kind, name)
    except ConfigError as error:
        raise ConfigError(f"{where}: {prefix}{kind.key}: {error}") from error
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(first_line(where, error, model, prefix)) from error


def load(kind: Kind, name: str) -> ModuleType:
    """Import a part's module, with all that it needs; raises ConfigError if there is none or it cannot be imported."""
    return _import(module_name(kind, name))


def suggest(name: str, known: list[str]) -> str:
    """Return the end of a sentence about an unknown name: what may be meant, or everything there is."""
    close = get_close_matches(name, known, n=1, cutoff=0.7)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known)) or 'none'}"


def _spec(module: str) -> Any:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None


def _declares(*modules: str) -> bool:
    """Whether the first of these modules that exists declares `Options`; its text is asked, so nothing is imported."""
    for module in modules:
        spec = _spec(module)
        if spec is not None and spec.origin:
            path = Path(spec.origin)
            return path.suffix == ".py" and bool(_DECLARES.search(path.read_text(encoding="utf-8", errors="replace")))
    return False


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ConfigError:
        raise
    except Exception as error:  # a third party's module may fail in any way
        raise ConfigError(f"module {module} cannot be imported: {type(error).__name__}: {error}") from error
