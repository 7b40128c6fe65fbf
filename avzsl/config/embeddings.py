"""How class names become vectors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from avzsl.config.base import Section


class EmbeddingsConfig(Section):
    """Class embeddings: a backend and where its vectors are."""

    backend: Literal["table", "fasttext", "published"] = Field(
        "table",
        description="table: mean of the word vectors; fasttext: the whole phrase as one token, from its character "
        "n-grams; published: a ready vector a phrase, the .npy files of the AVCA repository",
    )
    table: str = Field(
        description="table: a word2vec/GloVe file (.txt, .vec, .bin, each also .gz), 'demo' for the built-in words of the "
        "demo, or 'glove-6b-50d' for the table of the extra [glove]; fasttext: a model (.bin); published: a .npy file"
    )
    unknown: Literal["error", "skip"] = Field(
        "error", description="skip: leave unknown words out of the mean, and classes without a known word out"
    )
    lowercase: bool | None = Field(
        None, description="look words up in lower case; default: table yes, fasttext no (as the published vectors)"
    )
