"""What pydantic finds wrong, as a sentence that a person would write."""

from __future__ import annotations

from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from avzsl.contracts.secrets import masked

_COMPARED = {
    "greater_than": ("must be more than", "gt"),
    "greater_than_equal": ("must be at least", "ge"),
    "less_than": ("must be less than", "lt"),
    "less_than_equal": ("must be at most", "le"),
    "multiple_of": ("must be a multiple of", "multiple_of"),
}
_KINDS = {
    "missing": "must be given",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "dict_type": "give keys and values, as in {key: value}",
    "model_type": "give keys and values, as in {key: value}",
    "model_attributes_type": "give keys and values, as in {key: value}",
    "too_short": "must not be empty",
    "string_too_long": "is too long",
    "string_pattern_mismatch": "must be made of letters, digits, - and _, and begin with a letter or digit",
}
_LISTS = ("tuple_type", "list_type")


def first_line(where: str, error: ValidationError, model: type[BaseModel] | None = None, prefix: str = "") -> str:
    """Put the first finding on one line: file, key, what is wrong, what it got.

    `model` is what was validated: with it, unknown keys come with the one that may be meant, lists with an example.
    `prefix` stands before the key, as in `catalog.`.
    """
    errors = error.errors(include_url=False)
    # A misspelt key first: "root must be given" does not help who wrote "rot".
    found = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    place = _Place(model, tuple(found["loc"]))
    if place.in_union:
        # Of the forms that a value may have, the one it is meant to have.
        many = isinstance(place.given(errors), list)
        found = next((e for e in errors if _is_list_form(e) == many), found)
        place = _Place(model, tuple(found["loc"]))
    keys = {_Place(model, tuple(e["loc"])).key for e in errors}
    more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
    key = f"{prefix}{place.key}" if place.key else prefix.rstrip(".")
    return f"{where}: {key}: {_sentence(found, place)}{more}" if key else f"{where}: {_sentence(found, place)}{more}"


def _is_list_form(error: Any) -> bool:
    return any(isinstance(part, str) and part.startswith(("tuple[", "list[")) for part in error["loc"])


class _Place:
    """Where in a model a finding is: its key as a user wrote it, the field, and the fields beside it."""

    def __init__(self, model: type[BaseModel] | None, loc: tuple[int | str, ...]) -> None:
        self.field: FieldInfo | None = None
        self.siblings: list[str] = []
        self.in_union = False
        parts: list[str] = []
        kind: Any = model
        for part in loc:
            if model is not None and isinstance(part, str) and self._is_label(kind, part):
                self.in_union = self.in_union or not _models(kind)
                kind = _models(kind).get(part, kind)
                continue
            parts.append(str(part))
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                names = {field.alias or name: field for name, field in kind.model_fields.items()}
                self.siblings = list(names)
                self.field = names.get(str(part))
                kind = _inner(self.field.annotation) if self.field is not None else None
            else:
                kind = _item(kind)
        self.key = ".".join(parts)
        self.kind = kind

    def _is_label(self, kind: Any, part: str) -> bool:
        """Whether a part of the place is pydantic's name for one form of a union, not a key."""
        if _models(kind):
            return part in _models(kind)
        return get_origin(kind) in (Union, UnionType) or "[" in part

    def given(self, errors: Any) -> Any:
        """Return the value as it was given, as far as the findings of a union tell."""
        return next((e["input"] for e in errors if e["type"] in (*_KINDS, *_LISTS)), [])


def _inner(annotation: Any) -> Any:
    """Return an annotation without Annotated and without `| None`."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        forms = [form for form in get_args(annotation) if form is not type(None)]
        if len(forms) == 1:
            return _inner(forms[0])
    return annotation


def _models(kind: Any) -> dict[str, type[BaseModel]]:
    """Return the models of a union that is told apart by `kind`, by that key's value."""
    found: dict[str, type[BaseModel]] = {}
    for form in get_args(kind) if get_origin(kind) in (Union, UnionType) else ():
        if not (isinstance(form, type) and issubclass(form, BaseModel)) or "kind" not in form.model_fields:
            return {}
        found |= {str(tag): form for tag in get_args(form.model_fields["kind"].annotation)}
    return found


def _item(kind: Any) -> Any:
    """Return what the values of a list or mapping are."""
    arguments = [a for a in get_args(kind) if a is not Ellipsis]
    return _inner(arguments[-1]) if arguments else None


def _sentence(error: Any, place: _Place) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{_meant(place.key.split('.')[-1], place.siblings)}"
    if kind == "value_error":
        return str(context.get("error", error["msg"]))
    if kind == "union_tag_not_found":
        return f"kind must be given: {', '.join(_models(place.kind))}"
    got = _got(error["input"], place) if kind != "missing" else ""
    if kind in _LISTS:
        return f"give a list, such as {_example(place)}{got}"
    if kind in _COMPARED:
        words, key = _COMPARED[kind]
        bound = context[key]
        return f"{words} {int(bound) if float(bound).is_integer() else bound}{got}"
    if kind == "union_tag_invalid":
        names = context["expected_tags"].replace("'", "").split(", ")
        return f"kind must be {', '.join(names[:-1])} or {names[-1]}, got {context['tag']!r}{_close(context['tag'], names)}"
    if kind == "literal_error":
        choices = context["expected"].replace("'", "")
        return f"must be {choices}{got}{_close(str(error['input']), choices.replace(' or ', ', ').split(', '))}"
    sentence = _KINDS.get(kind) or error["msg"].replace("Input should be", "must be")
    if kind in ("int_type", "float_type", "bool_type") and isinstance(error["input"], str):
        sentence += ", without quotes"
    if kind == "string_type" and isinstance(error["input"], int | float):
        sentence += ", in quotes"
    return sentence + got


def _got(value: Any, place: _Place) -> str:
    if place.field is not None and SecretStr.__name__ in repr(place.field.annotation):
        return ""  # never shown, not even when it is wrong
    shown = masked(repr(value))
    return f", got {shown if len(shown) <= 80 else shown[:77] + '...'}"


def _example(place: _Place) -> str:
    field = place.field
    if field is not None:
        given = (field.examples or [field.get_default(call_default_factory=False)])[0]
        if isinstance(given, list | tuple) and given:
            return f"[{', '.join(map(str, given))}]"
    return "[a, b]"


def _close(given: str, names: list[str]) -> str:
    close = get_close_matches(given, names, n=1, cutoff=0.7)
    return f"; did you mean {close[0]}?" if close else ""


def _meant(given: str, names: list[str]) -> str:
    return _close(given, names) or (f"; known: {', '.join(sorted(names))}" if names else "")
