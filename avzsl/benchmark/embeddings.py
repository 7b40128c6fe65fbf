"""Class embeddings looked up by name, and the released loaders' row order for comparison."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.errors import DataError


@dataclass(frozen=True)
class Embeddings:
    """The file of class embeddings: `vectors` (classes, dim) float32, a name, a phrase and a row each."""

    path: Path
    names: tuple[str, ...]
    phrases: dict[str, str]
    vectors: np.ndarray
    missing: dict[str, str]
    backend: object

    def of(self, names: list[str] | tuple[str, ...], rows: str = "aligned") -> np.ndarray:
        """Return (len(names), dim) vectors: each class's own (`aligned`), or what the released loaders give it.

        Raises DataError that names a class without an embedding.
        """
        index = {name: row for row, name in enumerate(self.names)}
        if rows == "as_released":
            index = {name: index[other] for name, other in released_rows(self.phrases, self.names).items()}
        absent = [name for name in names if name not in index]
        if absent:
            reason = self.missing.get(absent[0], "it is not in the file")
            raise DataError(self.path, f"class {absent[0]!r} has no embedding: {reason}")
        return self.vectors[[index[name] for name in names]]


def released_rows(phrases: dict[str, str], names: tuple[str, ...] | list[str]) -> dict[str, str]:
    """Return, for each class, the class whose vector the released loaders give it (D1).

    They sort the vectors by the display phrase and take row number i for class id i, but ids come from sorting the
    class names. Where the two orders differ, a class trains and is tested with another class's vector.
    """
    by_phrase = sorted(names, key=lambda name: phrases.get(name, name))
    return dict(zip(sorted(names), by_phrase, strict=True))


def read_embeddings(path: str | Path) -> Embeddings:
    """Read a class embeddings file.

    Raises DataError if names and vectors do not fit together or a vector holds NaN or infinity.
    """
    path = Path(path)
    arrays, header = read_arrays(path)
    vectors, names = arrays.get("vectors"), header.get("class_names")
    if vectors is None or vectors.ndim != 2 or not isinstance(names, list):
        raise DataError(path, "is not a class embeddings file: it needs vectors (classes, dim) and class_names")
    if len(names) != len(vectors):
        raise DataError(path, f"has {len(vectors)} vectors for {len(names)} class names")
    if len(set(names)) != len(names):
        raise DataError(path, "lists a class name twice")
    bad = np.flatnonzero(~np.isfinite(vectors).all(1))
    if len(bad):
        raise DataError(path, f"the vector of class {names[bad[0]]!r} holds NaN or infinity; embed the classes again")
    # Phrases may come as a list in row order or by name.
    phrases = header.get("phrases") or {}
    if isinstance(phrases, list):
        phrases = dict(zip(names, phrases, strict=True))
    return Embeddings(
        path,
        tuple(names),
        phrases,
        vectors.astype(np.float32),
        dict(header.get("missing") or {}),
        header.get("backend"),
    )
