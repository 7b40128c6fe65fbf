"""Options of ClipClap."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avzsl.methods.options import Modalities, Share


class Options(Modalities):
    """Projections of CLIP and CLAP features to their own text embeddings."""

    encoder_dropout: Share = Field(0.1, description="of the first layer of clip and class")
    decoder_dropout: Share = Field(
        0.1, description="r_dec, of the projection to the common space and the decoder from it"
    )
    word_dropout: Share = Field(0.1, description="r_w, of the class's projection and decoder")
    text: Literal["all", "visual", "audio"] = Field(
        "all",
        description="class embeddings: all columns, or those of one model: visual (CLIP, the first) or audio (CLAP)",
    )
    statistics_passes: bool = Field(
        False, description="the released step's pass whose only effect is on batch-norm statistics"
    )
