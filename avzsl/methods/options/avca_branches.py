"""Options of AVCA's branches trained apart."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avzsl.methods.options.avca import Parts


class Options(Parts):
    """One branch of AVCA, or both with nothing shared."""

    branches: Literal["visual", "audio", "separate"] = Field(
        "separate", description="the visual branch, the audio branch, or both side by side"
    )
    cross_attention: bool = Field(
        False, description="both encoders feed the attention block, of which only the branch's own token is used"
    )
