"""A method as one benchmark runs it: the layers of its settings, checked against the model of its options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from avzsl.config import plugins
from avzsl.config.base import Section
from avzsl.config.errors import first_line
from avzsl.config.features import KINDS
from avzsl.config.files import Folders, content, parse, path_of, shown
from avzsl.config.methods import MethodConfig, Option, Overrides, OwnVariantConfig, TrainingConfig, VariantConfig
from avzsl.contracts.errors import ConfigError


@dataclass(frozen=True)
class Method:
    """A method as one benchmark runs it; `options` holds a value for every option that it has."""

    name: str
    config: MethodConfig
    options: dict[str, Option] = field(default_factory=dict)
    training: TrainingConfig = field(default_factory=TrainingConfig)


@dataclass(frozen=True)
class Layer:
    """Settings with the file they stand in and what stands before their keys there."""

    file: str
    prefix: str
    options: Mapping[str, Any]
    training: Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """A method's file and, for a variant, what it changes and where that stands."""

    name: str
    path: Path
    config: MethodConfig
    variant: VariantConfig | None = None
    variant_path: Path | None = None
    prefix: str = ""

    @property
    def module(self) -> str:
        return (self.variant and self.variant.module) or self.config.module

    def merged(self) -> MethodConfig:
        """Return the configuration under its own title, source and module."""
        if self.variant is None:
            return self.config
        changes = {"title": self.variant.title, "source": self.variant.source, "module": self.module}
        return self.config.model_copy(update=changes)

    def own_layers(self, preset: str, dataset: str, features: str) -> Iterator[Layer]:
        """Yield the layers of the method's own file for a benchmark, low to high."""
        yield _layer(self.path, "", self.config.options, {})
        changes: list[tuple[str, str, Overrides | None]] = [("presets", preset, self.config.presets.get(preset))]  # type: ignore[call-overload]
        for key in dict.fromkeys(
            [dataset, *(f"{dataset}/{kind}" for kind in (KINDS.get(features, features), features))]
        ):
            changes.append(("datasets", key, self.config.datasets.get(key)))
        for kind, key, given in changes:
            if given is not None:
                yield _layer(self.path, f"{kind}.{key}.", given.options, given.training)

    def variant_layers(self) -> Iterator[Layer]:
        """Yield the variant's layer, if it is one."""
        if self.variant is not None and self.variant_path is not None:
            yield _layer(self.variant_path, self.prefix, self.variant.options, self.variant.training)


def overrides(path: Path, prefix: str, given: Overrides) -> Layer:
    """Return the layer of a data set or a benchmark, which speaks to all its methods."""
    return _layer(path, prefix, given.options, given.training)


def find_method(folders: Folders, name: str) -> Found:
    """Return the file of a method, or the file that holds it as a variant; raises ConfigError if there is none."""
    for folder in folders:
        path = folder / "methods" / f"{name}.yaml"
        if path.is_file():
            return _found(folders, name, path)
        for other, variants in _variants(folder):
            if name in variants:
                config = parse(other, MethodConfig)
                return Found(name, other, config, config.variants[name], other, f"variants.{name}.")
    known = {known for folder in folders for known in method_names(folder)}
    raise ConfigError(
        f"methods: there is no methods/{name}.yaml in {shown(folders[0])}, and no method has a variant of that name; "
        f"{plugins.suggest(name, sorted(known))}"
    )


def method_names(folder: Path) -> list[str]:
    """Return the names of the methods below a folder of the configuration, variants included."""
    names = {path.stem for path in (folder / "methods").glob("*.yaml")}
    return sorted(names | {variant for _, variants in _variants(folder) for variant in variants})


def resolve(found: Found, layers: list[Layer], preset: str, dataset: str, features: str) -> Method:
    """Return the method under its own layers and, above them, `layers`.

    Raises ConfigError, one line with the file and key that is wrong.
    """
    model = _model(found)
    own = [*found.own_layers(preset, dataset, features)]
    _check_keys(own, _parent_model(found))
    _check_keys([*found.variant_layers()], model)
    stack = [*own, *found.variant_layers(), *layers]
    options = _options(found, model, stack)
    training = _merge(
        [_layer(found.path, "", {}, found.config.training.model_dump()), *stack], "training", TrainingConfig, found.path
    )
    return Method(found.name, found.merged(), options.model_dump(mode="json"), training)


def check_file(found: Found) -> None:
    """Check everything that a method's file says, also what no benchmark here asks for: presets, data sets, search."""
    model, config = _parent_model(found), found.config
    base = Found(found.name, found.path, config)
    for kind, changes in (("presets", config.presets), ("datasets", config.datasets)):
        for key, given in changes.items():
            layer = _layer(found.path, f"{kind}.{key}.", given.options, given.training)
            _check_keys([layer], model)
            _options(base, model, [_layer(found.path, "", config.options, {}), layer])
            _merge([layer], "training", TrainingConfig, found.path)
    for key, values in config.search.items():
        training = key.startswith("training.")
        name = key.removeprefix("training.")
        if name not in (TrainingConfig if training else model).model_fields:
            raise ConfigError(f"{shown(found.path)}: search.{key}: there is no such option{_known(model)}")
        for value in values:
            layer = Layer(
                shown(found.path), "search.", {} if training else {key: value}, {name: value} if training else {}
            )
            _options(base, model, [_layer(found.path, "", config.options, {}), layer])
            _merge([layer], "training", TrainingConfig, found.path)


def known_options(found: Found) -> set[str]:
    """Return the names of a method's options."""
    return set(_model(found).model_fields)


def _layer(path: Path, prefix: str, options: Mapping[str, Any], training: Mapping[str, Any]) -> Layer:
    return Layer(shown(path), prefix, options, training)


def _found(folders: Folders, name: str, path: Path) -> Found:
    if not _is_variant(path):
        return Found(name, path, parse(path, MethodConfig))
    variant = parse(path, OwnVariantConfig)
    among_variants = any(variant.variant_of in names for folder in folders for _, names in _variants(folder))
    other = path if among_variants else path_of(folders, "methods", variant.variant_of)
    if other == path or _is_variant(other):
        raise ConfigError(
            f"{shown(path)}: variant_of: {variant.variant_of!r} is itself a variant; name the method that it varies"
        )
    return Found(name, other, parse(other, MethodConfig), variant, path)


def _is_variant(path: Path) -> bool:
    values = content(path)
    return isinstance(values, dict) and "variant_of" in values


def _variants(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    for path in sorted((folder / "methods").glob("*.yaml")):
        values = content(path)
        variants = values.get("variants") if isinstance(values, dict) else None
        if isinstance(variants, dict):
            yield path, list(variants)


def _model(found: Found) -> type[Section]:
    where, key = (
        (found.variant_path, f"{found.prefix}module") if found.variant and found.variant.module else (None, "module")
    )
    try:
        return plugins.options_model(plugins.METHOD, found.module)
    except ConfigError as error:
        raise ConfigError(f"{shown(where or found.path)}: {key}: {error}") from error


def _parent_model(found: Found) -> type[Section]:
    return _model(Found(found.name, found.path, found.config))


def _check_keys(layers: list[Layer], model: type[Section]) -> None:
    for layer in layers:
        for key in layer.options:
            if key not in model.model_fields:
                close = plugins.suggest(key, list(model.model_fields))
                raise ConfigError(f"{layer.file}: {layer.prefix}options.{key}: unknown option; {close}")


def _known(model: type[BaseModel]) -> str:
    return f"; known: {', '.join(sorted(model.model_fields)) or 'none'}"


def _options(found: Found, model: type[Section], layers: list[Layer]) -> Section:
    # A variant of another module takes of the other method's settings those that both have, and a data set or
    # benchmark speaks to all its methods: an option that only some have is theirs alone.
    known = [
        Layer(x.file, x.prefix, {k: v for k, v in x.options.items() if k in model.model_fields}, {}) for x in layers
    ]
    return _merge(known, "options", model, found.variant_path or found.path)


def _merge(layers: list[Layer], what: str, model: type[Any], path: Path) -> Any:
    values: dict[str, Any] = {}
    origin: dict[str, Layer] = {}
    for layer in layers:
        given = getattr(layer, what)
        values |= given
        origin |= dict.fromkeys(given, layer)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        loc = error.errors(include_url=False)[0]["loc"]
        layer = origin.get(str(loc[0]) if loc else "", Layer(shown(path), "", {}, {}))
        part = "" if layer.prefix == "search." else f"{what}."
        raise ConfigError(first_line(layer.file, error, model, layer.prefix + part)) from error
