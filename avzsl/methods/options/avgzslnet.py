"""Options of AVGZSLNet."""

from __future__ import annotations

from pydantic import Field

from avzsl.config.base import Section
from avzsl.methods.options import Share, Weight, Width


class Options(Section):
    """Audio-visual GZSL network with a cross-modal decoder."""

    dropout: Share = Field(0.8, description="of the three projections")
    decoder_dropout: Share = Field(0.5, description="of the decoder")
    hidden: Width = Field(1024, description="width of the hidden layer of the audio and visual projections")
    dim: Width = Field(64, description="width of the common space")
    decoder_hidden: Width = Field(64, description="width of the decoder's hidden layer")
    margin: Weight = Field(1.0, description="of every triplet loss")
