"""Options of AVCA. Their defaults are those of UCF-GZSL with SeLaVi features."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avzsl.config.base import Section
from avzsl.methods.options import Share, Weight


class Parts(Section):
    """What AVCA and its branches trained apart share."""

    encoder_dropout: Share = Field(0.2, description="r_enc")
    projection_dropout: Share = Field(0.3, description="r_proj")
    decoder_dropout: Share = Field(0.5, description="r_dec")
    margin: Weight = Field(1.0, description="mu of every triplet loss")
    position_embedding: Literal["trained", "frozen", "none"] = Field(
        "trained",
        description="trained, frozen (never given to the optimiser, as released) or none (the paper draws none)",
    )
    norm: Literal["pre", "post"] = Field(
        "pre",
        description="layer norm before each block (as released) or post, after the residual (the paper's text)",
    )
    feed_forward: Literal["shared", "per_modality"] = Field(
        "shared", description="one for both modalities (as released) or per_modality (the paper's f_3^m, f_4^m)"
    )
    attention_dropout: bool = Field(
        True, description="dropout also after the attention's output projection, not only in the feed-forward block"
    )
    last_bn_momentum: Share = Field(
        0.1, description="of the second batch norm of encoders and projections, where two_bn_momenta is true"
    )
    two_bn_momenta: bool = Field(False, description="false: every batch norm has momentum 0.1")
    loss_base: bool = Field(True, description="l_t, eq. 5")
    loss_reconstruction: bool = Field(True, description="l_rec, eq. 7")
    loss_composite: bool = Field(True, description="l_ct, eq. 8")
    loss_word: bool = Field(True, description="l_w, eq. 9")
    loss_regularisation: bool = Field(True, description="l_r, eq. 10")


class Options(Parts):
    """Audio-visual cross-attention."""

    alignment: Weight = Field(0.0, description="weight of the alignment of cosines, Hyper-alignment; 0 is AVCA")
    output: Literal["visual", "audio", "sum", "min"] = Field(
        "visual",
        description="which embedding decides: visual (the paper), audio, sum or min of the two distances",
    )
    statistics_passes: bool = Field(
        False, description="the released step's passes whose only effect is on batch-norm statistics"
    )
