"""Options of ridge regression."""

from __future__ import annotations

from pydantic import Field

from avzsl.methods.options import Modalities, Numbers, Scaled


class Options(Modalities, Scaled):
    """Linear regression from features to class embeddings."""

    regularisation: Numbers = Field(
        (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
        description="in units of the mean eigenvalue; the best on validation is taken",
    )
