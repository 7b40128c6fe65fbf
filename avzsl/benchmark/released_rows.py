"""The row order of class embeddings in the released loaders, for comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from avzsl.contracts.class_embeddings import ClassEmbeddings


def released_rows(phrases: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Return, for each class, the class whose vector the released loaders give it (D1).

    They sort the vectors by the display phrase and take row number i for class id i, but ids come from sorting the
    class names. Where the two orders differ, a class trains and is tested with another class's vector.
    """
    by_phrase = sorted(names, key=lambda name: phrases.get(name, name))
    return dict(zip(sorted(names), by_phrase, strict=True))


def class_vectors(embeddings: ClassEmbeddings, class_names: Sequence[str], class_rows: str) -> np.ndarray:
    """Return (names, dim) vectors: each class's own (`aligned`), or what the released loaders give it (`as_released`).

    Raises AvzslError that names a class without an embedding.
    """
    if class_rows == "aligned":
        return embeddings.rows(class_names)
    of = released_rows(dict(zip(embeddings.class_names, embeddings.phrases, strict=True)), embeddings.class_names)
    return embeddings.rows([of.get(name, name) for name in class_names])
