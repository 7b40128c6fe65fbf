"""Classes -> vectors, with one of the backends."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.contracts.class_embeddings import ClassEmbeddings
from avzsl.contracts.errors import AvzslError, ConfigError
from avzsl.contracts.hashing import sha256_file, sha256_value
from avzsl.embeddings.fasttext import FastText
from avzsl.embeddings.published import read_published
from avzsl.embeddings.tables import DEMO_WORDS, glove_files, read_glove_package, read_table
from avzsl.embeddings.words import words_of

logger = logging.getLogger(__name__)

# phrase -> its vector (dim,), and the words that are not known
Lookup = Callable[[str], tuple[np.ndarray | None, list[str]]]


def embed_classes(classes: pd.DataFrame, config: EmbeddingsConfig) -> ClassEmbeddings:
    """Return a unit-norm vector for every class of a CLASSES table, from its `phrase`.

    A word without a vector is an error, unless `config.unknown` is skip: then it is left out of the mean, and a class
    without any known word is `missing` with its reason. The order of the classes is kept.

    Raises ConfigError if the vectors' file cannot be used or is not there, AvzslError for an unknown word (it names class,
    word and file) and DataError for a damaged file.
    """
    names, phrases = [str(n) for n in classes["class_name"]], [str(p) for p in classes["phrase"]]
    lookup, backend = _BACKENDS[config.backend](config, phrases)
    where = backend["table"] or backend["backend"]
    rows: list[np.ndarray] = []
    kept: list[int] = []
    missing: dict[str, str] = {}
    for i, (name, phrase) in enumerate(zip(names, phrases, strict=True)):
        vector, unknown = lookup(phrase)
        if unknown and config.unknown == "error":
            raise AvzslError(_unknown_word(name, phrase, unknown, where, config))
        norm = 0.0 if vector is None else float(np.linalg.norm(vector))
        if vector is None or norm == 0 or not np.isfinite(norm):
            reason = f"{where} knows none of its words ({', '.join(unknown)})" if unknown else f"no words in {phrase!r}"
            if not unknown and vector is not None:
                reason = f"the vector of {phrase!r} in {where} is zero or not finite"
            if config.unknown == "error":
                raise AvzslError(f"class {name!r}: {reason}; give it words under `phrases:` in the data set's YAML")
            missing[name] = reason
            continue
        if unknown:
            logger.warning("class %r: no vector for %s; the mean is of its other words", name, ", ".join(unknown))
        rows.append((vector / norm).astype(np.float32))
        kept.append(i)
    if not rows:
        raise AvzslError(f"{where}: no class has a vector; is it a table of this data set's language and spelling?")
    return ClassEmbeddings(
        tuple(names[i] for i in kept), np.stack(rows), tuple(phrases[i] for i in kept), backend, missing
    )


def embed_phrases(phrases: Sequence[str], identity: Mapping[str, Any]) -> np.ndarray:
    """Return unit vectors (n, dim) float32 of any phrases, made as `identity` (of ClassEmbeddings) says; 0 for unknown ones.

    Raises AvzslError if the vectors cannot be had, are others by their checksum, or know none of the phrases.
    """
    keys = EmbeddingsConfig.model_fields.keys() & identity.keys()
    config = EmbeddingsConfig.model_validate({key: identity[key] for key in keys})
    lookup, now = _BACKENDS[config.backend](config, list(phrases))
    if now["sha256"] != identity.get("sha256"):
        raise AvzslError(
            f"the word vectors {now['table']} are not those that the class embeddings were made with; make these again"
        )
    found = [lookup(phrase)[0] for phrase in phrases]
    known = [vector for vector in found if vector is not None]
    if not known:
        raise AvzslError(
            f"embeddings: the backend {config.backend} has vectors for classes alone, not for any phrase; use sentences or table"
        )
    vectors = np.stack([np.zeros_like(known[0]) if vector is None else vector for vector in found])
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms > 0, norms, 1)).astype(np.float32)


def _unknown_word(name: str, phrase: str, unknown: list[str], where: str, config: EmbeddingsConfig) -> str:
    what = "phrase" if config.backend == "published" else "word"
    return (
        f"class {name!r} ({phrase!r}): {where} has no vector for the {what} {unknown[0]!r}; "
        "give the class other words under `phrases:` in the data set's YAML, or set embeddings.unknown: skip"
    )


def _mean_of_words(config: EmbeddingsConfig, phrases: list[str]) -> tuple[Lookup, dict[str, Any]]:
    """Phrase = mean of its words' vectors (the usual reading of "word2vec of a class name")."""
    lowercase = config.lowercase is not False
    needed = {word for phrase in phrases for word in words_of(phrase, lowercase=lowercase)}
    if config.table == "glove-6b-50d":
        array, _ = glove_files()
        table, source = read_glove_package(needed), array
    else:
        source = DEMO_WORDS if config.table == "demo" else _file(config)
        table = read_table(source, needed)

    def lookup(phrase: str) -> tuple[np.ndarray | None, list[str]]:
        words = words_of(phrase, lowercase=lowercase)
        known = [table[word] for word in words if word in table]
        return (np.mean(known, axis=0) if known else None), [word for word in words if word not in table]

    return lookup, _identity(config, source, lowercase)


def _whole_phrase(config: EmbeddingsConfig, phrases: list[str]) -> tuple[Lookup, dict[str, Any]]:
    """The vectors of the AVCA repository: the phrase with its spaces as one fastText token (extract_word2vec.py)."""
    lowercase = config.lowercase is True
    tokens = {phrase: " ".join((phrase.lower() if lowercase else phrase).split()) for phrase in phrases}
    source = _file(config)
    with FastText(source, tokens.values()) as model:
        vectors = {phrase: model.vector(token) for phrase, token in tokens.items()}

    def lookup(phrase: str) -> tuple[np.ndarray | None, list[str]]:
        vector = vectors[phrase]
        return vector, [] if vector is not None else [tokens[phrase]]

    return lookup, _identity(config, source, lowercase)


def _published(config: EmbeddingsConfig, phrases: list[str]) -> tuple[Lookup, dict[str, Any]]:
    """One ready vector a phrase; spelling may differ in case, spaces and punctuation."""
    source = _file(config)
    exact = read_published(source)
    loose: dict[str, set[str]] = {}
    for key in exact:
        loose.setdefault("".join(words_of(key, lowercase=True)), set()).add(key)

    def lookup(phrase: str) -> tuple[np.ndarray | None, list[str]]:
        if phrase in exact:
            return exact[phrase], []
        keys = loose.get("".join(words_of(phrase, lowercase=True)), set())
        if len(keys) > 1:
            raise AvzslError(
                f"{source}: {phrase!r} may be any of {', '.join(map(repr, sorted(keys)))}; spell it as one of them"
            )
        return (exact[next(iter(keys))], []) if keys else (None, [phrase])

    return lookup, _identity(config, source, lowercase=False)


def _sentences(config: EmbeddingsConfig, phrases: list[str]) -> tuple[Lookup, dict[str, Any]]:
    """The whole phrase through a sentence encoder; of several prompts the mean of their unit vectors."""
    from avzsl.pretrained.minilm import FILES, MiniLM  # torch: nobody else here needs it
    from avzsl.pretrained.wheels import MINILM

    source = Path(os.path.expandvars(config.table)).expanduser() if config.table else MINILM.locate()
    if not source.exists():
        raise ConfigError(f"embeddings.table: there is no folder {source}")
    model = MiniLM(source)
    prompts = [model.encode([prompt.replace("{}", phrase) for phrase in phrases]) for prompt in config.prompts]
    vectors = dict(zip(phrases, np.mean(prompts, axis=0), strict=True))

    def lookup(phrase: str) -> tuple[np.ndarray | None, list[str]]:
        return (vectors[phrase] if phrase.strip() else None), []

    digest = sha256_value([sha256_file(source / name) for name in FILES]) if source.is_dir() else sha256_file(source)
    identity = {"backend": config.backend, "table": config.table, "sha256": digest}
    return lookup, identity | {"prompts": list(config.prompts)}


_BACKENDS = {"table": _mean_of_words, "fasttext": _whole_phrase, "published": _published, "sentences": _sentences}


def _file(config: EmbeddingsConfig) -> Path:
    path = Path(os.path.expandvars(config.table)).expanduser()
    if not path.is_file():
        named = ", nor is it 'demo' or 'glove-6b-50d'" if config.backend == "table" else ""
        raise ConfigError(f"embeddings.table: there is no file {path}{named}")
    return path


def _identity(config: EmbeddingsConfig, source: Path, lowercase: bool) -> dict[str, Any]:
    return {
        "backend": config.backend,
        "table": config.table,
        "sha256": sha256_file(source),
        "lowercase": lowercase,
        "unknown": config.unknown,
    }
