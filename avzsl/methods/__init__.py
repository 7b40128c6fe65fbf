"""The methods, one module each; `build` makes one from its configuration."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping

from avzsl.config.methods import Option
from avzsl.contracts.errors import ConfigError
from avzsl.methods.base import Batch, Clips, Dims, Input, Method, Steps, TrainingSet

__all__ = ["Batch", "Clips", "Dims", "Input", "Method", "Steps", "TrainingSet", "build"]


def build(module: str, dims: Dims, options: Mapping[str, Option]) -> Method:
    """Return the method of `avzsl.methods.<module>`, freshly initialised from torch's global generator.

    Raises ConfigError if there is no such module, it defines no `METHOD`, or an option has a wrong value.
    """
    if importlib.util.find_spec(f"{__name__}.{module}") is None:
        raise ConfigError(f"method module {module!r}: there is no avzsl/methods/{module}.py")
    kind = getattr(importlib.import_module(f"{__name__}.{module}"), "METHOD", None)
    if not (isinstance(kind, type) and issubclass(kind, Method)):
        raise ConfigError(f"method module {module!r}: avzsl/methods/{module}.py defines no METHOD")
    return kind(dims, options)
