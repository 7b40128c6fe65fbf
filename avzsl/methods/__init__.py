"""The methods, one module each; `build` makes one from its configuration.

Importing this package loads no torch: options are checked without it (`avzsl.methods.options`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from avzsl.config import plugins
from avzsl.config.errors import first_line
from avzsl.config.methods import Option
from avzsl.contracts.errors import ConfigError

if TYPE_CHECKING:
    from avzsl.methods.base import Batch, Clips, Dims, Input, Method, Steps, TrainingSet

__all__ = ["Batch", "Clips", "Dims", "Input", "Method", "Steps", "TrainingSet", "build"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from avzsl.methods import base

        return getattr(base, name)
    raise AttributeError(f"module 'avzsl.methods' has no attribute {name!r}")


def build(module: str, dims: Dims, options: Mapping[str, Option]) -> Method:
    """Return the method of a module (`avzsl.config.plugins`), freshly initialised from torch's global generator.

    Options that are not given have the default of the method's model. Raises ConfigError if there is no such module, it
    defines no `METHOD`, an option has a wrong value, or the method needs a modality of which there is nothing.
    """
    from avzsl.methods.base import Method

    try:
        typed = plugins.options_model(plugins.METHOD, module).model_validate(dict(options))
        kind = getattr(plugins.load(plugins.METHOD, module), "METHOD", None)
    except ValidationError as error:
        raise ConfigError(first_line(f"method module {module}: options", error)) from error
    if not (isinstance(kind, type) and issubclass(kind, Method)):
        raise ConfigError(f"method module {module}: defines no METHOD, a subclass of avzsl.methods.base.Method")
    method: Method = kind(dims, typed)
    words = {"audio": "sound", "visual": "picture"}
    lacking = [word for name, word in words.items() if not getattr(dims, name) and name in method.needs()]
    if lacking:
        raise ConfigError(
            f"method module {module}: needs audio and visual features as these options have it, and the features have no "
            f"{lacking[0]}; use a method of one modality, such as visual-only or ale-visual"
        )
    return method
