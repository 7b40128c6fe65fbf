"""Options of GCCA."""

from __future__ import annotations

from pydantic import Field

from avzsl.methods.options import Numbers, Scaled, Widths


class Options(Scaled):
    """Generalised canonical correlation analysis of sound, picture and class embedding."""

    penalty: Numbers = Field(
        (0.01, 0.1, 1.0, 10.0),
        description="rho, in units of the mean eigenvalue; the best on validation is taken",
    )
    dim: Widths = Field((8, 16, 32, 64), description="r, width of the common space; likewise")
