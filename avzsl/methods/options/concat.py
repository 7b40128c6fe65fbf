"""Options of the joined features with one triplet loss."""

from __future__ import annotations

from pydantic import Field

from avzsl.config.base import Section
from avzsl.methods.options import Share, Weight, Width


class Options(Section):
    """Joined features, one projection and one triplet loss with the class embedding."""

    dropout: Share = Field(0.2, description="of the projection")
    hidden: Width = Field(1024, description="width of the projection's hidden layer")
    dim: Width = Field(64, description="width of the joint space")
    margin: Weight = Field(1.0, description="of the triplet loss; the paper gives no value")
