"""Options of CONSE."""

from __future__ import annotations

from pydantic import Field

from avzsl.methods.options import Counts, Modalities, Numbers, Scaled


class Options(Modalities, Scaled):
    """Convex combination of the class embeddings of the likeliest seen classes."""

    inverse_penalty: Numbers = Field(
        (0.01, 1.0), description="scikit-learn's C of the softmax classifier; the best on validation is taken"
    )
    top: Counts = Field((1, 3, 5, 10, 20), description="T, classes that are combined; likewise")
