"""The mean of the word vectors of a phrase: the usual reading of "word2vec of a class name"."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from avzsl.config.base import Section
from avzsl.contracts.hashing import sha256_file
from avzsl.embeddings.backends import Vectors, existing
from avzsl.pretrained.words import words_of
from avzsl.runtime.weights import first_use

if TYPE_CHECKING:
    import numpy as np

PACKAGED = ("demo", "glove-6b-50d")


class Options(Section):
    """A table of word vectors."""

    table: str = Field(
        description="a word2vec or GloVe file (.txt, .vec, .bin, each also .gz), 'demo' for the built-in words of the demo, "
        "or 'glove-6b-50d' for the table of the extra [glove]"
    )
    lowercase: bool = Field(True, description="look words up in lower case")


def check(options: Options) -> None:
    """Look whether the table is there and its beginning readable; raises ConfigError or DataError."""
    from avzsl.pretrained.word_vectors import check_table

    path = source(options)
    if options.table not in PACKAGED:
        check_table(path)


def source(options: Options) -> Path:
    """Return the file of the table; raises ConfigError if it, or the extra that holds it, is not there."""
    from avzsl.pretrained.word_vectors import DEMO_WORDS, glove_files

    if options.table == "demo":
        return DEMO_WORDS
    if options.table == "glove-6b-50d":
        return glove_files()[0]
    return existing(options.table, ", nor is it 'demo' or 'glove-6b-50d'")


def vectors(options: Options, phrases: Sequence[str]) -> Vectors:
    """Read the vectors of the phrases' words."""
    import numpy as np

    from avzsl.pretrained.word_vectors import read_glove_package, read_table

    needed = {word for phrase in phrases for word in words_of(phrase, lowercase=options.lowercase)}
    path = source(options)
    digest = sha256_file(path) if options.table in PACKAGED else first_use(options.table, path)
    table = read_glove_package(needed) if options.table == "glove-6b-50d" else read_table(path, needed)

    def lookup(phrase: str) -> tuple[np.ndarray | None, list[str]]:
        words = words_of(phrase, lowercase=options.lowercase)
        known = [table[word] for word in words if word in table]
        return (np.mean(known, axis=0) if known else None), [word for word in words if word not in table]

    return Vectors(lookup, options.table, digest, {"lowercase": options.lowercase})
