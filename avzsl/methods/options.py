"""Checked access to a method's options."""

from __future__ import annotations

from collections.abc import Mapping

from avzsl.config.methods import Option
from avzsl.contracts.errors import ConfigError


def choose(options: Mapping[str, Option], key: str, allowed: tuple[str | int, ...]) -> str | int:
    """Return an option's value; raises ConfigError that lists the allowed values if it is another."""
    value = options[key]
    if not isinstance(value, str | int) or isinstance(value, bool) or value not in allowed:
        raise ConfigError(f"method option {key}: must be one of {', '.join(map(str, allowed))}, got {value!r}")
    return value


def number(options: Mapping[str, Option], key: str) -> float:
    """Return an option's value as a float; raises ConfigError if it is none or negative."""
    value = options[key]
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
        raise ConfigError(f"method option {key}: must be a number of at least 0, got {value!r}")
    return float(value)


def whole(options: Mapping[str, Option], key: str) -> int:
    """Return an option's value as a positive whole number; raises ConfigError if it is none."""
    value = options[key]
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"method option {key}: must be a whole number of at least 1, got {value!r}")
    return value
