"""The vectors of the AVCA repository: a phrase with its spaces as one fastText token (extract_word2vec.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from avzsl.config.base import LocalFile, Section
from avzsl.embeddings.backends import Vectors, existing
from avzsl.runtime.weights import first_use

if TYPE_CHECKING:
    import numpy as np


class Options(Section):
    """A fastText model."""

    table: LocalFile = Field(description="the model (.bin), whose character n-grams give a vector to any phrase")
    lowercase: bool = Field(False, description="look phrases up in lower case; the released vectors do not")


def vectors(options: Options, phrases: Sequence[str]) -> Vectors:
    """Read the vectors of the phrases."""
    from avzsl.embeddings.fasttext import FastText

    tokens = {phrase: " ".join((phrase.lower() if options.lowercase else phrase).split()) for phrase in phrases}
    path = existing(options.table)
    with FastText(path, tokens.values()) as model:
        found = {phrase: model.vector(token) for phrase, token in tokens.items()}

    def lookup(phrase: str) -> tuple[np.ndarray | None, list[str]]:
        vector = found[phrase]
        return vector, [] if vector is not None else [tokens[phrase]]

    return Vectors(lookup, options.table, first_use(options.table, path), {"lowercase": options.lowercase})
