"""Options of ridge regression."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avzsl.methods.options import Modalities, Numbers, Scaled


class Options(Modalities, Scaled):
    """Linear regression from features to class embeddings."""

    scaling: Literal["standard", "unit", "none"] = Field(
        "unit",
        description="unit: each modality of a clip divided by its norm, so that the wider one counts no more than the other; "
        "standard: mean 0 and variance 1 over the training clips; none",
    )
    regularisation: Numbers = Field(
        (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
        description="in units of the mean eigenvalue; the best on validation is taken",
    )
