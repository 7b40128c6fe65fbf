"""Options of SAE."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avzsl.methods.options import Modalities, Numbers, Scaled


class Options(Modalities, Scaled):
    """Semantic autoencoder: a linear encoder whose transpose decodes."""

    regularisation: Numbers = Field(
        (0.01, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6), description="lambda; the best on validation is taken"
    )
    scaling: Literal["standard", "unit", "none"] = Field(
        "unit", description="unit: each modality of a clip divided by its norm; standard: mean 0 and variance 1; none"
    )
