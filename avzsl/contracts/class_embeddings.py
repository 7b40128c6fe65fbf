"""Class embeddings in memory and on disk: what `avzsl.embeddings` makes and everything later reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.contracts.arrays import read_arrays, write_arrays
from avzsl.contracts.errors import AvzslError, DataError


@dataclass(frozen=True)
class ClassEmbeddings:
    """A vector for every class that has one; look rows up with `rows`, never by position in another file."""

    class_names: tuple[str, ...]
    vectors: np.ndarray  # (classes, dim) float32, unit norm
    phrases: tuple[str, ...]  # the words that were embedded, in row order
    backend: dict[str, Any]  # what made the vectors: backend, file, its checksum
    missing: dict[str, str] = field(default_factory=dict)  # class name -> why it has no vector

    def rows(self, class_names: Iterable[str]) -> np.ndarray:
        """Return the vectors of `class_names`, (names, dim) float32, in their order.

        Raises AvzslError for a class without a vector.
        """
        index = {name: row for row, name in enumerate(self.class_names)}
        wanted = list(class_names)
        for name in wanted:
            if name not in index:
                raise AvzslError(f"class {name!r} has no class embedding: {self.why_missing(name)}")
        return self.vectors[[index[name] for name in wanted]]

    def why_missing(self, class_name: str) -> str:
        """Return why a class has no vector."""
        return self.missing.get(class_name, "it is not in the class embeddings")


def write_embeddings(embeddings: ClassEmbeddings, path: str | Path) -> None:
    """Write class embeddings to one safetensors file (docs/architecture.md, Arrays)."""
    header = {
        "class_names": list(embeddings.class_names),
        "phrases": list(embeddings.phrases),
        "backend": embeddings.backend,
        "missing": embeddings.missing,
    }
    write_arrays(path, {"vectors": embeddings.vectors.astype(np.float32)}, header)


def read_embeddings(path: str | Path) -> ClassEmbeddings:
    """Read a file of `write_embeddings`.

    Raises DataError if it is missing, truncated, its names and vectors do not fit, or a vector is not finite.
    """
    arrays, header = read_arrays(path)
    try:
        embeddings = ClassEmbeddings(
            tuple(header["class_names"]),
            arrays["vectors"],
            tuple(header["phrases"]),
            header["backend"],
            header["missing"],
        )
    except KeyError as error:
        raise DataError(path, f"is not a class embeddings file: {error} is missing") from error
    names, vectors = embeddings.class_names, embeddings.vectors
    if len(set(names)) != len(names):
        raise DataError(path, "lists a class name twice")
    if vectors.ndim != 2 or not len(names) == len(embeddings.phrases) == len(vectors):
        raise DataError(path, f"has {len(names)} class names for {len(vectors)} vectors")
    bad = np.flatnonzero(~np.isfinite(vectors).all(1))
    if len(bad):
        raise DataError(path, f"the vector of class {names[bad[0]]!r} holds NaN or infinity; embed the classes again")
    return embeddings
