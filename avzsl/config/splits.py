"""How a seen/unseen split is made (specification of `splits.build`)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avzsl.config.base import Section


class SplitConfig(Section):
    """One split of a data set; the defaults are the ratios of the AVCA paper, section 4.1."""

    flavour: Literal["random"] = Field("random", description="how clips are assigned to subsets")
    avoid: tuple[str, ...] = Field(("kinetics400",), description="label sets that unseen classes must not overlap with")
    val_unseen: float = Field(0.2, gt=0, lt=1, description="share of the classes that stage 1 has not seen")
    test_unseen: float = Field(0.2, gt=0, lt=1, description="share of the classes never trained on")
    test_seen: float = Field(0.1, gt=0, lt=1, description="share of the seen clips held out for the test")
    val_seen: float = Field(0.1, gt=0, lt=1, description="share of the remaining seen clips held out for validation")
    seed: int = 42
    force: dict[str, Literal["train", "val_unseen", "test_unseen", "excluded"]] = Field(
        default_factory=dict, description="classes whose role is given"
    )
