"""Class embeddings in memory and on disk."""

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
                reason = self.missing.get(name, "it is not in the class embeddings")
                raise AvzslError(f"class {name!r} has no class embedding: {reason}")
        return self.vectors[[index[name] for name in wanted]]


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

    Raises DataError if it is missing, truncated, or its names and vectors do not fit.
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
        raise DataError(path, f"holds no class embeddings: {error} is missing") from error
    names, rows = embeddings.class_names, embeddings.vectors.shape[0]
    if not len(names) == len(set(names)) == len(embeddings.phrases) == rows:
        raise DataError(path, f"holds {len(names)} class names for {rows} vectors, or a name twice")
    if not np.isfinite(embeddings.vectors).all():
        raise DataError(path, "holds vectors that are not finite")
    return embeddings
