"""Phrases as means of word vectors, for comparing names; class embeddings proper are `avzsl.embeddings`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from avzsl.contracts.errors import ConfigError
from avzsl.runtime.seals import uses


def phrase_vectors(path: str, phrases: list[str]) -> np.ndarray:
    """Return unit mean word vectors (phrases, dim) from a word2vec/GloVe text file; unknown words are left out.

    A phrase without any known word gets zeros, so its cosine with everything is 0.
    Raises ConfigError if the file cannot be read or a line of it is not a word and numbers.
    """
    split = [re.findall(r"[^\W_]+", phrase.lower()) for phrase in phrases]
    table = _read(Path(path).expanduser(), {word for parts in split for word in parts})
    dim = len(next(iter(table.values()), np.zeros(1)))
    out = np.zeros((len(phrases), dim))
    for row, parts in enumerate(split):
        known = [table[word] for word in parts if word in table]
        if known:
            mean = np.mean(known, axis=0)
            out[row] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return out


def _read(path: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    uses(path)
    table: dict[str, np.ndarray] = {}
    dim: int | None = None
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                word, _, rest = line.rstrip().partition(" ")
                if word not in wanted or (number == 1 and len(rest.split()) == 1):
                    continue  # the header of word2vec files holds two counts
                try:
                    vector = np.array(rest.split(), dtype=np.float64)
                except ValueError:
                    raise ConfigError(f"{path}, line {number}: expected a word and numbers") from None
                dim = dim or len(vector)
                if len(vector) != dim or not np.isfinite(vector).all():
                    raise ConfigError(f"{path}, line {number}: expected {dim} finite numbers after the word")
                table[word] = vector
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"overlap.vectors: {path}: cannot be read: {error}") from error
    return table
