"""How class names become vectors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avzsl.config.base import Section


class EmbeddingsConfig(Section):
    """Class embeddings: a backend and where its vectors are."""

    backend: Literal["table"] = "table"
    table: str = Field(
        description="a word2vec/GloVe text file, 'demo' for the built-in words of the demo, or 'glove-6b-50d' for the table of the extra [glove]"
    )
    unknown: Literal["error", "skip"] = Field("error", description="skip: leave unknown words out of the mean")
