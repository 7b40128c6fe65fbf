"""Options of ESZSL."""

from __future__ import annotations

from pydantic import Field

from avzsl.methods.options import Modalities, Numbers, Scaled


class Options(Modalities, Scaled):
    """A bilinear score in closed form."""

    feature_penalty: Numbers = Field(
        (0.01, 0.1, 1.0, 10.0, 100.0),
        description="gamma, in units of the mean eigenvalue; the best on validation is taken",
    )
    class_penalty: Numbers = Field((0.1, 1.0, 10.0, 100.0), description="lambda, likewise")
