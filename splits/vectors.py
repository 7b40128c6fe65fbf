"""Phrases as means of word vectors, for comparing names; class embeddings proper are `avzsl.embeddings`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avzsl.pretrained.word_vectors import read_table
from avzsl.pretrained.words import words_of
from avzsl.runtime.seals import uses


def phrase_vectors(path: str, *groups: Sequence[str]) -> list[np.ndarray]:
    """Return unit mean word vectors (phrases, dim) of each group of phrases; unknown words are left out.

    `path` is a table that `avzsl.pretrained.word_vectors` reads, once for all groups. A phrase without any known word
    gets zeros, so its cosine with everything is 0.
    Raises DataError if the file cannot be read or a line of it is not a word and numbers, ConfigError for a fastText model.
    """
    file = Path(path).expanduser()
    uses(file)
    split = [[words_of(phrase, lowercase=True) for phrase in phrases] for phrases in groups]
    table = read_table(file, {word for phrases in split for words in phrases for word in words})
    dim = len(next(iter(table.values()), np.zeros(1)))
    return [np.array([_mean(table, words, dim) for words in phrases]).reshape(-1, dim) for phrases in split]


def _mean(table: dict[str, np.ndarray], words: list[str], dim: int) -> np.ndarray:
    known = [table[word] for word in words if word in table]
    if not known:
        return np.zeros(dim)
    mean: np.ndarray = np.stack(known).astype(np.float64).mean(axis=0)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)
