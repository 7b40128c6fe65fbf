"""The JSON schema of every YAML file, for editors, and the same as tables, for people.

Both are made from the models, with the options of every method, extractor, catalogue and embedding backend that is
installed here.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from avzsl.config import plugins
from avzsl.config.dataset import DatasetConfig
from avzsl.config.features import FeaturesConfig
from avzsl.config.methods import MethodConfig, OwnVariantConfig
from avzsl.config.plugins import BACKEND, CATALOG, EXTRACTOR, METHOD, Kind
from avzsl.config.project import ProjectConfig

# Kinds of files: the folder below config/ that they stand in ("" for config.yaml) and their model.
FILES: dict[str, tuple[str, type[BaseModel]]] = {
    "config": ("", ProjectConfig),
    "dataset": ("datasets", DatasetConfig),
    "features": ("features", FeaturesConfig),
    "method": ("methods", MethodConfig),
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(what: str) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of one of `FILES`."""
    _, model = FILES[what]
    schema = model.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    if what == "config":
        names = schema["properties"]["benchmarks"]
        bodies = names.pop("patternProperties")
        names["patternProperties"] = {name: {"anyOf": [body, {"type": "null"}]} for name, body in bodies.items()}
        names["additionalProperties"] = False
        description = names.pop("description")
        short = [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]
        schema["properties"]["benchmarks"] = {"description": description, "anyOf": [names, *short]}
    elif what == "dataset":
        _with_options(definitions["CatalogConfig"], CATALOG, definitions)
        _with_options(definitions["EmbeddingsConfig"], BACKEND, definitions)
    elif what == "features":
        _with_options(schema, EXTRACTOR, definitions, required=False)
    else:
        schema = _method(schema, definitions)
    return {"$schema": DIALECT, **schema}


def _options(kind: Kind, name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a part's options; what it refers to is put beside `definitions` under its own name."""
    model = plugins.options_model(kind, name)
    prefix = f"{kind.group}.{name}"
    schema = model.model_json_schema(ref_template=f"#/$defs/{prefix}.{{model}}")
    for key, value in schema.pop("$defs", {}).items():
        definitions[f"{prefix}.{key}"] = value
    return schema


def _names(kind: Kind) -> list[str]:
    return sorted({*plugins.own(kind), *plugins.registered(kind)})


def _when(key: str, name: str, default: Any, then: dict[str, Any]) -> dict[str, Any]:
    condition: dict[str, Any] = {"properties": {key: {"const": name}}}
    if name != default:  # a key that is not there has its default
        condition["required"] = [key]
    return {"if": condition, "then": then}


def _with_options(section: dict[str, Any], kind: Kind, definitions: dict[str, Any], required: bool = True) -> None:
    """Let a section take the options of the part that it names, and no others."""
    own = section["properties"]
    section.pop("additionalProperties", None)
    own[kind.key]["examples"] = _names(kind)
    rules = []
    for name in _names(kind):
        options = _options(kind, name, definitions)
        then = {
            "properties": {**dict.fromkeys(own, True), **options.get("properties", {})},
            "additionalProperties": False,
        }
        if required and "required" in options:
            then["required"] = options["required"]
        rules.append(_when(kind.key, name, own[kind.key].get("default"), then))
    section["allOf"] = rules


def _method(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A method's file, or a variant of one's own; options as their module has them."""
    schema.pop("$defs")
    own = OwnVariantConfig.model_json_schema()
    definitions |= own.pop("$defs", {})
    schema["properties"]["module"]["examples"] = _names(METHOD)
    rules = []
    for name in _names(METHOD):
        options = _options(METHOD, name, definitions)
        options.pop("required", None)
        changes = {"additionalProperties": {"properties": {"options": options}}}
        rules.append(
            _when("module", name, None, {"properties": {"options": options, "presets": changes, "datasets": changes}})
        )
    schema["allOf"] = rules
    return {"if": {"required": ["variant_of"]}, "then": own, "else": schema, "$defs": definitions}


def tables() -> dict[str, str]:
    """Return a Markdown table of keys for every section, by its heading, as config/README.md holds them."""

    found: dict[str, str] = {}
    for what, (folder, model) in FILES.items():
        schema = model.model_json_schema()
        name = f"{folder}/NAME.yaml" if folder else "config.yaml"
        found[name] = _table(schema["properties"], schema)
        for key, section in schema.get("$defs", {}).items():
            label = _SECTIONS.get(key)
            if label is not None and label.startswith(what):
                found[label.split(": ", 1)[1]] = _table(section["properties"], schema)
    for kind, title in _PARTS.items():
        for name in plugins.own(kind):
            schema = plugins.options_model(kind, name).model_json_schema()
            if schema.get("properties"):
                found[f"{title} `{name}`"] = _table(schema["properties"], schema)
    return found


_PARTS = {
    CATALOG: "Options of the catalogue",
    EXTRACTOR: "Options of the extractor",
    BACKEND: "Options of the embedding backend",
    METHOD: "Options of the method module",
}
_SECTIONS = {
    "BenchmarkConfig": "config: A benchmark",
    "Overrides": "config: Overrides",
    "TrainingConfig": "method: Training",
    "VariantConfig": "method: A variant",
    "CatalogConfig": "dataset: `catalog`",
    "EmbeddingsConfig": "dataset: `embeddings`",
    "MediaConfig": "dataset: `media`",
    "FolderSource": "dataset: Source `folder`",
    "ArchiveSource": "dataset: Source `archive`",
    "HttpSource": "dataset: Source `http`",
    "YoutubeSource": "dataset: Source `youtube`",
    "PaceConfig": "dataset: `pace` of a source",
    "TransferConfig": "dataset: `transfer` of a source",
    "SplitConfig": "dataset: A split",
    "OverlapConfig": "dataset: `overlap` of a split",
    "ListsConfig": "dataset: `lists` of a split",
}


def _table(properties: dict[str, Any], schema: dict[str, Any]) -> str:
    rows = ["| key | default | values | meaning |", "|---|---|---|---|"]
    for key, value in properties.items():
        default = f"`{_plain(value['default'])}`" if value.get("default") not in (None, {}, "", []) else ""
        meaning = value.get("description", "").replace("|", "\\|")
        rows.append(f"| `{key}` | {default} | {_values(value, schema)} | {meaning} |")
    return "\n".join(rows)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, dict):
        return "{...}"
    return str(value)


def _values(value: dict[str, Any], schema: dict[str, Any]) -> str:
    """Say in a few words what a key takes."""
    forms = [form for form in value.get("anyOf", value.get("oneOf", [value])) if form.get("type") != "null"]
    said = []
    for given in forms:
        form = {**given, **schema["$defs"][given["$ref"].split("/")[-1]]} if "$ref" in given else given
        if "enum" in form:
            said.append(", ".join(f"`{_plain(choice)}`" for choice in form["enum"]))
        elif "const" in form:
            said.append(f"`{form['const']}`")
        elif form.get("type") == "array":
            said.append(f"list of {_values(form['items'], schema)}" if form.get("items") else "list")
        elif form.get("type") == "boolean":
            said.append("`true`, `false`")
        elif form.get("type") in ("integer", "number"):
            said.append(("whole number" if form["type"] == "integer" else "number") + _bounds(form))
        elif form.get("type") == "object" or "$ref" in form:
            said.append("keys and values")
        elif form.get("type") == "string":
            said.append("text")
    return " or ".join(dict.fromkeys(said)) or "any"


def _bounds(form: dict[str, Any]) -> str:
    words = {
        "minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most", "exclusiveMaximum": "less than",
        "multipleOf": "multiple of",
    }  # fmt: skip
    found = [f"{word} {form[key]:g}" for key, word in words.items() if key in form and form[key] < 2**32]
    return f", {' and '.join(found)}" if found else ""
