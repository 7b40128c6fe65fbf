"""Read YAML from anybody: size, nesting and alias expansion are bounded before a value is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from avzsl.contracts.errors import ConfigError

MAX_BYTES = 4 << 20
MAX_DEPTH = 40
# Values that a file may hold once its aliases are followed: the shipped files have a few hundred.
MAX_VALUES = 200_000

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file, {} if it is empty.

    Raises ConfigError, one line with file and line: not readable, not YAML, too large, nested or expanding without
    bounds, a key that stands twice or is no text (`no:` is a truth value in YAML).
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: has more than {MAX_BYTES >> 20} MB; no configuration is that large")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> Any:
    """Return the content of a YAML text; `where` stands before a mistake (see `read_yaml`)."""
    try:
        depth = 0
        for event in yaml.parse(text, Loader=_Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                line = getattr(event.start_mark, "line", 0) + 1
                raise ConfigError(f"{where}, line {line}: is nested deeper than {MAX_DEPTH} levels")
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return {}
        values = _Size(where).of(node)
        if values > MAX_VALUES:
            raise ConfigError(f"{where}: its aliases expand to more than {MAX_VALUES} values; write fewer aliases (*)")
        loaded = loader.construct_document(node)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        line_ = f", line {place.line + 1}" if place is not None else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{where}{line_}: is not valid YAML: {problem}") from error
    except (ValueError, RecursionError) as error:  # an impossible date, a number of a million digits
        raise ConfigError(f"{where}: is not valid YAML: {str(error).splitlines()[0]}") from error
    return {} if loaded is None else loaded


def from_command_line(value: Any) -> Any:
    """Return a value of Snakemake's --config as YAML means it: inside lists and mappings it leaves every number and
    truth value as text (`seeds='[0]'`)."""
    if isinstance(value, dict):
        return {key: from_command_line(part) for key, part in value.items()}
    if isinstance(value, list):
        return [from_command_line(part) for part in value]
    if isinstance(value, str) and len(value) < 100:
        try:
            meant = parse_yaml(value, "--config")
        except ConfigError:
            return value
        return meant if isinstance(meant, bool | int | float) else value
    return value


class _Size:
    """How many values a node holds with its aliases followed; every node is visited once."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.known: dict[int, int] = {}
        self.open: set[int] = set()

    def of(self, node: yaml.Node) -> int:
        mark = id(node)
        if mark in self.open:
            raise ConfigError(f"{self.where}, line {node.start_mark.line + 1}: an alias that contains itself")
        if mark not in self.known:
            self.open.add(mark)
            if isinstance(node, yaml.MappingNode):
                self._check_keys(node)
                children = [child for pair in node.value for child in pair]
            else:
                children = node.value if isinstance(node, yaml.SequenceNode) else []
            self.known[mark] = 1 + sum(self.of(child) for child in children)
            self.open.discard(mark)
        return self.known[mark]

    def _check_keys(self, node: yaml.MappingNode) -> None:
        seen = set()
        for key, _ in node.value:
            line = f"{self.where}, line {key.start_mark.line + 1}"
            if key.tag == _MERGE:
                continue
            if key.tag != _TEXT:
                shown = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                raise ConfigError(f"{line}: the key {shown} is not read as text; write it in quotes")
            if key.value in seen:
                raise ConfigError(f"{line}: the key {key.value} stands twice")
            seen.add(key.value)
