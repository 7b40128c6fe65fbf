"""Options of f-VAEGAN-D2."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avzsl.config.base import Section
from avzsl.methods.options import Count, Weight


class Options(Section):
    """Generated features of unseen classes and a softmax classifier over all."""

    scaling: Literal["minmax", "unit"] = Field(
        "minmax",
        description="features to [0, 1]: minmax over the training clips, or unit norm, as released (needs features of at least 0)",
    )
    one_batch: bool = Field(False, description="an epoch is one batch, as released")
    critic_steps: Count = Field(1, description="steps of the critic for one of the generator")
    adversarial_weight: Weight = Field(
        1.0,
        description="of the critic's verdict against a clip's reconstruction; as released 1e5 for a batch of 64",
    )
    synthetic: Count = Field(300, description="generated clips of each unseen class")
    classifier_epochs: Count = Field(30, description="epochs of the softmax classifier")
    classifier_batch_size: Count = Field(256, description="its batch size")
