"""Options of the nearest class prototype."""

from __future__ import annotations

from pydantic import Field

from avzsl.methods.options import Counts, Modalities, Scaled


class Options(Modalities, Scaled):
    """Nearest class mean."""

    neighbours: Counts = Field(
        (1, 2, 3, 5, 10),
        description="seen classes that stand in for an unseen one; the best on validation is taken",
    )
