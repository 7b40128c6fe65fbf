"""The sentences in which the ClipClap paper puts a class's name, and the mean of their vectors.

For its CLIP and WavCaps text embeddings (Kurzend et al., CVPRW 2024) as the released scripts have them: sentences about people for
UCF101 and ActivityNet, about things for VGGSound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator, model_validator

from avzsl.config.base import Section, Several

if TYPE_CHECKING:
    import numpy as np

Paper = Literal["ucf", "activitynet", "vggsound"]
DOING = ("", "using", "doing", "during", "performing", "practicing")


class OwnPrompts(Section):
    """What a text encoder reads of a class, in sentences of one's own."""

    prompts: Several[str] = Field(
        ("{}",), min_length=1, description="what is embedded, {} stands for the phrase; of several the mean is taken"
    )

    @field_validator("prompts")
    @classmethod
    def _have_a_place(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        for prompt in prompts:
            if prompt.count("{}") != 1:
                raise ValueError(f"{prompt!r} must hold {{}} once, where the phrase stands")
        return prompts


class Prompts(OwnPrompts):
    """Sentences of one's own, or the paper's."""

    paper: Paper | None = Field(
        None,
        description="in place of prompts, those of the ClipClap paper for a data set: about people, or about sounds",
    )
    slips: bool = Field(
        False, description="the paper's prompts as released: `a example`, and one of VGGSound's that speaks of a person"
    )

    @model_validator(mode="after")
    def _one_source(self) -> Prompts:
        if self.paper is not None and "prompts" in self.model_fields_set and self.prompts != ("{}",):
            raise ValueError("give `prompts` or `paper`, not both")
        if self.slips and self.paper is None:
            raise ValueError("`slips` are those of `paper`, which is not given")
        return self


def about_pictures(options: Prompts) -> tuple[str, ...]:
    """Return the prompts for a model of pictures: 48 for UCF101 and ActivityNet, 8 for VGGSound."""
    if options.paper is None:
        return options.prompts
    kinds = ("a photo", "a video", "a example", "a demonstration")
    if options.paper == "vggsound":
        found = [f"{kind} of {article}{{}}." for article in ("", "the ") for kind in kinds]
        if options.slips:
            found[4] = "a photo of the person {}."
    else:
        found = [
            " ".join(f"{kind} of {who} {verb} {{}}.".split()) for kind in kinds for who in PEOPLE for verb in DOING
        ]
    return _corrected(found, options)


def about_sounds(options: Prompts) -> tuple[str, ...]:
    """Return the prompts for a model of sounds: 30 for UCF101 and ActivityNet, 9 for VGGSound."""
    if options.paper is None:
        return options.prompts
    openings = ("", "a example of ", "a demonstration of ")
    if options.paper == "vggsound":
        found = [f"{opening}{article}{{}} can be heard." for opening in openings for article in ("a ", "the ", "")]
    else:
        found = [
            " ".join(f"{opening}{who} {verb} {{}} can be heard.".split())
            for verb in DOING
            for opening in openings
            for who in PEOPLE
            # Without an opening "the person" stands with no verb alone, and nobody is "during" a thing.
            if opening or (not verb if who == "the person" else verb != "during")
        ]
    return _corrected(found, options)


PEOPLE = ("a person", "the person")


def _corrected(prompts: Sequence[str], options: Prompts) -> tuple[str, ...]:
    return tuple(prompt if options.slips else prompt.replace("a example", "an example") for prompt in prompts)


def mean_vectors(
    encode: Callable[[Sequence[str]], np.ndarray], prompts: Sequence[str], phrases: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return for each phrase the mean over prompts of the unit vectors that `encode` gives, of norm 1 again."""
    import numpy as np

    total = np.mean([encode([prompt.replace("{}", phrase) for phrase in phrases]) for prompt in prompts], axis=0)
    return dict(zip(phrases, total / np.linalg.norm(total, axis=1, keepdims=True), strict=True))
