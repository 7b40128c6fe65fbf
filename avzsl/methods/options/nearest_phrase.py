"""Options of nearest-phrase."""

from __future__ import annotations

from pydantic import BaseModel, Field

from avzsl.methods.options import Count, Modalities


class Options(Modalities):
    """A clip is named by what trained taggers heard and saw in it."""

    top: Count = Field(10, description="labels of each modality that make a clip's point, the likeliest")

    @staticmethod
    def suits(extractor: str | None, options: BaseModel | None) -> str | None:
        """Return what features are needed where those of `extractor` (None: imported ones) are no answers of its taggers."""
        weights = getattr(options, "weights", None)
        if extractor == "pretrained" and weights is not None and weights.random_seed is None and not weights.path:
            return None
        return "the features `pretrained` with the weights of its packages"
