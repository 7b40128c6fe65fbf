"""Options of APN."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avzsl.methods.options import Modalities, Weight


class Options(Modalities):
    """Attribute prototype network on averaged features."""

    double_softmax: bool = Field(
        False, description="softmax before the cross-entropy, which has one itself, as released"
    )
    regress_base: bool = Field(False, description="the base module regresses the class embedding too, as released")
    classify_prototypes: bool = Field(False, description="the prototypes classify too, as released")
    decorrelation_weight: Weight = Field(
        1e-4, description="weight of the decorrelation loss; the released code has none"
    )
    distance: Literal["dot", "euclidean"] = Field("dot", description="dot (the paper) or euclidean, as released")
    unit_inputs: bool = Field(False, description="divide each input vector by its norm")
