"""Options of TCaF. Their defaults are those of UCF-GZSL with SeLaVi features."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avzsl.config.base import Section
from avzsl.methods.options import Count, Positive, Share, Width

Norm = Literal["channel", "time", "byte", "none"]


class Options(Section):
    """Cross-attention between steps of sound and steps of picture."""

    encoder_dropout: Share = Field(0.4, description="r_enc, of the step encoders")
    encoder_hidden: Width = Field(256, description="hidden layer of the step encoders")
    embedding_dropout: Share = Field(0.2, description="r_emb, of the tokens")
    transformer_dropout: Share = Field(0.3, description="r_tr, in the transformer")
    decoder_dropout: Share = Field(
        0.2, description="r_dec, of the projection to the common space and the decoder from it"
    )
    decoder_hidden: Width = Field(512, description="hidden layer of that projection and decoder")
    word_dropout: Share = Field(0.1, description="r_w, of the class embeddings' projection and decoder")
    depth: Count = Field(5, description="layers of the transformer")
    heads: Count = Field(8, description="heads of its attention")
    head_width: Width = Field(64, description="width of a head")
    feed_forward_hidden: Width = Field(128, description="hidden layer of its feed-forward blocks")
    attention: Literal["cross", "self", "both"] = Field(
        "cross", description="which steps a step attends to: the other modality's, its own modality's, or both"
    )
    audio_norm: Norm = Field(
        "channel",
        description="scaling of the sound: channel (each step to unit length), time (each channel to unit length over the clip), byte (divided by 255, as released) or none",
    )
    visual_norm: Norm = Field("channel", description="scaling of the picture; time as released")
    padded_batch_norm: bool = Field(
        False, description="padded steps count in the encoders' batch norms in training, as released"
    )
    modality_embedding: bool = Field(True, description="a learnt vector of the modality in every token")
    training_time: Literal["seconds", "nominal", "none"] = Field(
        "seconds",
        description="where a step stands: seconds of the clip, nominal (places times the two lengths below, from 0 whatever was cropped, as released) or none",
    )
    test_time: Literal["training", "index"] = Field(
        "training", description="the same clock as in training, or places counted as seconds, as released"
    )
    audio_step_seconds: Positive = Field(1.0, description="length of a step of sound that nominal time assumes")
    visual_step_seconds: Positive = Field(1.0, description="length of a step of picture that nominal time assumes")
    average_steps: bool = Field(
        False, description="one step a clip and modality, the mean of all: a control that no time can help"
    )
    statistics_passes: bool = Field(
        False, description="the released step's pass whose only effect is on batch-norm statistics"
    )
    loss_regression: bool = Field(True, description="l_reg")
    loss_reconstruction: bool = Field(True, description="l_rec")
    loss_cross_entropy: bool = Field(True, description="l_ce")
