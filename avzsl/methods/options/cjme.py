"""Options of CJME."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avzsl.config.base import Section
from avzsl.methods.options import Share, Weight, Width


class Options(Section):
    """Coordinated joint multimodal embeddings with modality attention."""

    dropout: Share = Field(0.2, description="of the three projections")
    hidden: Width = Field(1024, description="width of the hidden layer of the audio and visual networks")
    dim: Width = Field(64, description="width of the joint space")
    margin: Weight = Field(1.0, description="delta of eqs. 1-2; the paper gives no value")
    entropy_threshold: Weight = Field(0.1, description="xi of eq. 7; the paper gives no value")
    text_layers: Literal[1, 2] = Field(1, description="1 (the paper) or 2 (as released)")
    output_relu: bool = Field(
        False, description="a ReLU after each network's last layer, as released; the paper names none"
    )
    weighting: Literal["per_sample", "broadcast"] = Field(
        "per_sample",
        description="per_sample (eq. 4) or broadcast: mean(1 - alpha) mean(L_TA) + mean(alpha) mean(L_TV), as released",
    )
    cross_modal_weight: Weight = Field(
        0.015625,
        description="lambda of eq. 4; the paper gives no value, the released mean over 64 dimensions is 1/64",
    )
    class_probabilities: Literal["inverse_distance", "softmax_dot"] = Field(
        "inverse_distance", description="inverse_distance (section 3) or softmax_dot, as released"
    )
    attention_loss: Literal["cross_entropy", "squared_error"] = Field(
        "cross_entropy", description="cross_entropy (section 3) or squared_error, as released"
    )
    class_pass_statistics: bool = Field(
        False,
        description="the classes' pass through the text network moves its batch-norm statistics, as released",
    )
    selection: Literal["undecided_both", "hard"] = Field(
        "undecided_both", description="undecided_both (section 3) or hard: always one modality, as released"
    )
    selection_threshold: Share = Field(
        0.75, description="attention above which one modality alone decides; the paper gives no value"
    )
