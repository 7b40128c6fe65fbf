"""Options of ALE, SJE and DeViSE."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avzsl.methods.options import Modalities, Share, Weight


class Options(Modalities):
    """A linear map into the space of the class embeddings, trained to rank the right class first."""

    objective: Literal["weighted", "maximum", "sum"] = Field(
        "weighted",
        description="weighted (ALE: by the rank of the right class), maximum (SJE: worst violation) or sum (DeViSE)",
    )
    margin: Weight = Field(0.1, description="by which the right class must score higher")
    dropout: Share = Field(0.2, description="of the input vectors")
    class_dropout: bool = Field(False, description="dropout on the class embeddings too, as released")
    distance: Literal["dot", "euclidean"] = Field(
        "dot",
        description="dot: test with the score that was trained; euclidean: nearest class embedding, as released",
    )
    unit_inputs: bool = Field(False, description="divide each input vector by its norm")
