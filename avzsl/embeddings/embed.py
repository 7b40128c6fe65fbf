"""Classes -> vectors, with one of the backends."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from avzsl.config import plugins
from avzsl.config.base import expand, local_paths
from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.contracts.class_embeddings import ClassEmbeddings
from avzsl.contracts.errors import AvzslError
from avzsl.embeddings.backends import Vectors
from avzsl.runtime.seals import uses

logger = logging.getLogger(__name__)

# Classes that a message names before it only counts.
SHOWN = 20


def embed_classes(classes: pd.DataFrame, config: EmbeddingsConfig) -> ClassEmbeddings:
    """Return a unit-norm vector for every class of a CLASSES table, from its `phrase`.

    A word without a vector is an error, unless `config.unknown` is skip: then it is left out of the mean, and a class
    without any known word is `missing` with its reason. The order of the classes is kept.

    Raises ConfigError if the vectors' file cannot be used or is not there, AvzslError for unknown words (it names all
    classes with theirs, and the file) and DataError for a damaged file.
    """
    names, phrases = [str(n) for n in classes["class_name"]], [str(p) for p in classes["phrase"]]
    options = plugins.typed(plugins.BACKEND, config.backend, config.options, "embeddings", "embeddings.")
    # A table by name ('demo') comes with a package.
    named = [path for _, _, path in local_paths(options)]
    if table := getattr(options, "table", ""):
        named.append(expand(table))
    for path in named:
        if path.exists():
            uses(path)
    found: Vectors = plugins.load(plugins.BACKEND, config.backend).vectors(options, phrases)
    where = found.source
    rows: list[np.ndarray] = []
    kept: list[int] = []
    missing: dict[str, str] = {}
    unusable: list[str] = []
    for i, (name, phrase) in enumerate(zip(names, phrases, strict=True)):
        vector, unknown = found.lookup(phrase)
        norm = 0.0 if vector is None else float(np.linalg.norm(vector))
        empty = vector is None or norm == 0 or not np.isfinite(norm)
        if config.unknown == "error" and (unknown or empty):
            unusable.append(_unusable(name, phrase, unknown, vector))
        elif empty or vector is None:
            missing[name] = _unusable(name, phrase, unknown, vector)
        else:
            if unknown:
                logger.warning("class %r: no vector for %s; the mean is of its other words", name, ", ".join(unknown))
            rows.append((vector / norm).astype(np.float32))
            kept.append(i)
    if unusable:
        more = f" and {len(unusable) - SHOWN} more classes" if len(unusable) > SHOWN else ""
        raise AvzslError(
            f"{where} has no vector for the {found.unit}s of {len(unusable)} of {len(names)} classes: "
            f"{'; '.join(unusable[:SHOWN])}{more}; give them other words under `phrases:` in the data set's YAML, "
            "or set embeddings.unknown: skip"
        )
    if not rows:
        raise AvzslError(f"{where}: no class has a vector; is it a table of this data set's language and spelling?")
    identity = {
        "backend": config.backend,
        **options.model_dump(mode="json"),
        "table": found.source,
        "sha256": found.sha256,
        **found.identity,
        "unknown": config.unknown,
        "options": options.model_dump(mode="json"),
    }
    return ClassEmbeddings(
        tuple(names[i] for i in kept), np.stack(rows), tuple(phrases[i] for i in kept), identity, missing
    )


def embed_phrases(phrases: Sequence[str], identity: Mapping[str, Any]) -> np.ndarray:
    """Return unit vectors (n, dim) float32 of any phrases, made as `identity` (of ClassEmbeddings) says; 0 for unknown ones.

    Raises AvzslError if the vectors cannot be had, are others by their checksum, or know none of the phrases.
    """
    if "options" not in identity:
        raise AvzslError("the class embeddings do not say how they were made; make them again")
    backend = str(identity["backend"])
    options = plugins.typed(plugins.BACKEND, backend, identity["options"], "embeddings", "embeddings.")
    found: Vectors = plugins.load(plugins.BACKEND, backend).vectors(options, list(phrases))
    if found.sha256 != identity["sha256"]:
        raise AvzslError(f"{found.source} is not what the class embeddings were made with any more; make these again")
    vectors = [found.lookup(phrase)[0] for phrase in phrases]
    known = [vector for vector in vectors if vector is not None]
    if not known:
        raise AvzslError(
            f"{found.source} has no vector for any phrase but the classes'; use `backend: sentences` or `table`"
        )
    stacked = np.stack([np.zeros_like(known[0]) if vector is None else vector for vector in vectors])
    norms = np.linalg.norm(stacked, axis=1, keepdims=True)
    return (stacked / np.where(norms > 0, norms, 1)).astype(np.float32)


def _unusable(name: str, phrase: str, unknown: list[str], vector: np.ndarray | None) -> str:
    if unknown:
        return f"{name!r} ({phrase!r}): {', '.join(map(repr, unknown))}"
    if vector is not None:
        return f"{name!r}: the vector of {phrase!r} is zero or not finite"
    return f"{name!r}: no words in {phrase!r}"
