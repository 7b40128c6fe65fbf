"""The embedding backends, one light module each: their options, and `vectors`, which opens the files.

A backend module has `class Options(Section)` and `vectors(options, phrases) -> Vectors`; whatever is heavy it imports
inside that function, since configurations are checked without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avzsl.config.base import expand
from avzsl.contracts.errors import ConfigError
from avzsl.contracts.hashing import sha256_value
from avzsl.runtime.weights import first_use

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Vectors:
    """What a backend found.

    `lookup` gives a phrase's vector (dim,), None where there is none, and the words (or the phrase) without a vector.
    `source` is what people are told that the vectors are from, `sha256` the checksum of its content; `identity` says what
    else decides.
    """

    lookup: Callable[[str], tuple[np.ndarray | None, list[str]]]
    source: str
    sha256: str
    identity: dict[str, Any] = field(default_factory=dict)
    unit: str = "word"  # what `lookup` looks up, for messages


def existing(table: str, also: str = "") -> Path:
    """Return the file that `embeddings.table` names; raises ConfigError if it is not there."""
    path = expand(table)
    if not path.is_file():
        raise ConfigError(f"embeddings.table: there is no file {path}{also}")
    return path


def encoded(
    encode: Callable[[Sequence[str]], Any],
    prompts: Sequence[str],
    phrases: Sequence[str],
    source: str,
    files: Mapping[str, Path],
) -> Vectors:
    """Return the phrases as an encoder reads them in `prompts`; it gives unit vectors (n, dim), and is known by its
    files, named as the configuration spells them.
    """
    import numpy as np

    from avzsl.embeddings.prompts import mean_vectors

    given = list(dict.fromkeys(phrase for phrase in phrases if phrase.strip()))
    found = mean_vectors(lambda texts: np.asarray(encode(texts)), prompts, given) if given else {}
    digests = [first_use(name, file) for name, file in files.items()]
    digest = sha256_value(digests) if len(digests) > 1 else digests[0]
    return Vectors(lambda phrase: (found.get(phrase), []), source, digest, {"prompts": list(prompts)}, "phrase")
