"""Options of CJME with parts left out."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from avzsl.methods.options import cjme


class Options(cjme.Options):
    """CJME with switches for its losses and its attention, and with a choice of what decides at the test."""

    loss_text_audio: bool = Field(True, description="L_TA of eq. 4")
    loss_text_visual: bool = Field(True, description="L_TV of eq. 4")
    loss_audio_visual: bool = Field(True, description="L_AV of eq. 4")
    attention: bool = Field(True, description="train the modality attention")
    output: Literal["audio", "visual", "both", "dominant"] = Field(
        "dominant",
        description="audio or visual alone, both (their distances summed, eq. 6), or dominant: the modality that attention "
        "selects; without trained attention the one whose entropy is clearly lower, else both",
    )

    @model_validator(mode="after")
    def _something_to_train(self) -> Options:
        if not (self.loss_text_audio or self.loss_text_visual):
            raise ValueError("loss_text_audio or loss_text_visual must be true")
        return self
