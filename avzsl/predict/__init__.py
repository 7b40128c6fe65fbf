"""Zero-shot recognition of a user's own clips with any phrases, by a finished run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avzsl.predict.recognition import Prediction, Predictions, predict

__all__ = ["Prediction", "Predictions", "predict"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the command line imports this package to show its help, and torch takes seconds.
    if name in __all__:
        from avzsl.predict import recognition

        return getattr(recognition, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
