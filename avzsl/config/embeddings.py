"""How class names become vectors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avzsl.config.base import Part, PartName


class EmbeddingsConfig(Part):
    """Class embeddings: a backend; the further keys are its options, checked by its `Options` model."""

    backend: PartName = Field(
        "table",
        description="a module of `avzsl.embeddings.backends`, an entry point of the group avzsl.embeddings, or package.module",
    )
    unknown: Literal["error", "skip"] = Field(
        "error", description="skip: leave unknown words out of the mean, and classes without a known word out"
    )
