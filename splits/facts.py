"""What is known of a published benchmark: class roles, population, order, numbers (`splits/data/benchmarks`).

A user's own class list is a YAML file of the same form; only `roles` must be there.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from avzsl.config.base import Section, Several
from avzsl.config.errors import first_line
from avzsl.config.read import parse_yaml, read_yaml
from avzsl.config.splits import Role, SplitConfig
from avzsl.contracts.errors import ConfigError
from avzsl.runtime.seals import uses

if TYPE_CHECKING:
    from splits.roles import Roles

EXCLUDED = "excluded"  # as in avzsl.contracts.schemas, which would cost every job that only checks the configuration


class Filter(Section):
    """Clips that were not in the published population; a clip that any of the conditions names is left out."""

    clips: Several[str] = Field((), description="these clips")
    first: dict[str, int] = Field(
        default_factory=dict,
        description="class -> number of its first clips by name that were there; the rest were lost",
    )
    longer_than_s: float | None = Field(
        None, description="clips that do not last longer, unless the split's `lists` hold them: those were measured"
    )
    official_subset: str | None = Field(None, description="clips of another official subset")
    roles: Several[Role] = Field((), description="classes that `official_subset` is asked of; none: all")
    listed: Literal[False, True, "optional"] = Field(False, description="clips that the split's `lists` do not hold")
    sizes: dict[str, int] = Field(
        default_factory=dict, description="without `lists`: class -> number of clips to draw instead"
    )
    after_split: bool = Field(False, description="left out when the subsets are made, as the released lists were")


class Drawn(Section):
    """Unseen classes that a rule gives: all further classes, sorted by name and permuted by the seed."""

    classes: int = Field(alias="from", description="number of further classes there must be")
    test_unseen: int = Field(description="the first so many are test_unseen, the others val_unseen")
    seed: int


class Order(Section):
    """Input order of the published split: parts of the list sorted by class and name, by their first clips."""

    parts: dict[str, str] = Field(min_length=1, description="first clip of a part -> its class, in input order")


class Facts(Section):
    """One benchmark."""

    title: str = ""
    recipe: Literal["avca", "cjme"] = "avca"
    roles: dict[Role, Several[str]]
    drawn: Drawn | None = None
    dropped: dict[str, Several[str]] = Field(
        default_factory=dict, description="variant -> classes of `roles` that it leaves out"
    )
    filters: dict[str, Filter] = Field(default_factory=dict)
    order: Literal["name"] | Order = "name"
    counts: dict[str, int] = Field(default_factory=dict, description="published number of clips per subset")


def load_facts(name: str) -> Facts:
    """Return the facts of a benchmark that avzsl knows, or of a YAML file; ConfigError if there is neither."""
    if name in _known():
        return _shipped(name)
    path = Path(name).expanduser()
    if not path.is_file():
        raise ConfigError(f"classes: {name!r} is neither a known benchmark ({', '.join(_known())}) nor a YAML file")
    uses(path)
    return _facts(read_yaml(path), str(path))


def _known() -> list[str]:
    entries = (resources.files("splits.data") / "benchmarks").iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


@cache
def _shipped(name: str) -> Facts:
    file = resources.files("splits.data") / "benchmarks" / f"{name}.yaml"
    return _facts(parse_yaml(file.read_text(encoding="utf-8"), f"{name}.yaml"), f"{name}.yaml")


def _facts(values: Any, where: str) -> Facts:
    try:
        return Facts.model_validate(values)
    except ValidationError as error:
        raise ConfigError(first_line(where, error, Facts)) from error


def chosen_filters(facts: Facts | None, split: SplitConfig) -> dict[str, Filter]:
    """Return the filters that apply: those named, or all of the benchmark's for `published`, or none."""
    known = facts.filters if facts is not None else {}
    if split.filters is None:
        return known if split.flavour == "published" else {}
    strangers = [name for name in split.filters if name not in known]
    if strangers:
        raise ConfigError(f"filters: no filter {strangers[0]!r}; known: {', '.join(known) or 'none'}")
    return {name: known[name] for name in split.filters}


def listed_roles(facts: Facts, split: SplitConfig, names: list[str]) -> Roles:
    """Return the role of each class of `names` under the lists of `facts`, the split's `variant` and its `force`.

    Raises ConfigError if a listed class does not exist, has two roles, or the variant is unknown.
    """
    where = f"classes {split.classes}"
    roles: Roles = {}
    for role, members in facts.roles.items():
        for name in members:
            if name in roles:
                raise ConfigError(f"{where}: class {name!r} is listed twice")
            roles[name] = (role, f"listed in {split.classes}")
    strangers = sorted((set(roles) | set(split.force)) - set(names))
    if strangers:
        raise ConfigError(f"{where}: the data set has no class {', '.join(map(repr, strangers[:5]))}")
    if facts.drawn is not None:
        roles |= _drawn(facts.drawn, sorted(set(names) - set(roles)), where)
    if split.variant != "main":
        if split.variant not in facts.dropped:
            raise ConfigError(f"{where}: no variant {split.variant!r}; known: {', '.join(['main', *facts.dropped])}")
        roles |= {n: (EXCLUDED, f"dropped in variant {split.variant}") for n in facts.dropped[split.variant]}
    roles |= {name: (role, "forced") for name, role in split.force.items()}
    return {name: roles.get(name, (EXCLUDED, f"not in the class lists of {split.classes}")) for name in names}


def _drawn(rule: Drawn, names: list[str], where: str) -> Roles:
    if len(names) != rule.classes:
        raise ConfigError(f"{where}: the draw is over {rule.classes} further classes, the data set has {len(names)}")
    import numpy as np

    order = np.random.RandomState(rule.seed).permutation(len(names))
    test = {names[index] for index in order[: rule.test_unseen]}
    reason = f"drawn with seed {rule.seed}"
    return {name: ("test_unseen" if name in test else "val_unseen", reason) for name in names}


def check_split(where: str, split: SplitConfig) -> None:
    """Check what a split's configuration names, without any data; `where` is file and key, for the message.

    Raises ConfigError for an unknown benchmark, variant, filter or label set, or a check that no audit has.
    """
    from splits.labels import KNOWN

    try:
        facts = load_facts(split.classes) if split.classes is not None else None
        chosen_filters(facts, split)
        if facts is not None and split.variant not in {"main", *facts.dropped}:
            raise ConfigError(f"variant: there is no {split.variant!r}; known: {', '.join(['main', *facts.dropped])}")
        for name in split.avoid:
            if name not in KNOWN and name not in split.overlap.files:
                raise ConfigError(
                    f"avoid: unknown label set {name!r}; known: {', '.join(KNOWN)}, or one of overlap.files"
                )
    except ConfigError as error:
        raise ConfigError(f"{where}.{error}") from error
