"""The options of every method, one light module each, so that a configuration is checked without torch.

`avzsl.methods.NAME` takes an `avzsl.methods.options.NAME.Options`; what several share stands here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from avzsl.config.base import Section, Several

# From 0 to 1, as what a dropout layer sets to zero.
Share = Annotated[float, Field(ge=0, le=1)]
Width = Annotated[int, Field(ge=1, le=65_536)]
Weight = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
# What a method in closed form searches: one value, or a list to try on validation clips.
Numbers = Positive | Annotated[Several[Positive], Field(min_length=1)]
Counts = Count | Annotated[Several[Count], Field(min_length=1)]
Widths = Width | Annotated[Several[Width], Field(min_length=1)]


class Modalities(Section):
    """Options of the methods that take one vector a clip."""

    modalities: Literal["both", "audio", "visual"] = Field(
        "both", description="both (joined, the picture first), audio or visual"
    )


class Scaled(Section):
    """Options of every method in closed form."""

    scaling: Literal["standard", "unit", "none"] = Field(
        "standard",
        description="standard: mean 0 and variance 1 over the training clips, as ridge penalties presume; "
        "unit: each modality of a clip divided by its norm; none",
    )
