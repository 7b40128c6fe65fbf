"""Options of nearest-phrase."""

from __future__ import annotations

from pydantic import Field

from avzsl.methods.options import Count, Modalities


class Options(Modalities):
    """A clip is named by what trained taggers heard and saw in it."""

    top: Count = Field(10, description="labels of each modality that make a clip's point, the likeliest")
