"""One ready vector a phrase, as the AVCA repository publishes them; spelling may differ in case, spaces, punctuation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from avzsl.config.base import LocalFile, Section
from avzsl.contracts.errors import AvzslError
from avzsl.embeddings.backends import Vectors, existing
from avzsl.pretrained.words import words_of
from avzsl.runtime.weights import first_use

if TYPE_CHECKING:
    import numpy as np


class Options(Section):
    """A file of released class embeddings."""

    table: LocalFile = Field(description="an .npy file of the AVCA repository, or a zip archive that holds it")
    within: str = Field("", description="the file inside the archive")


def vectors(options: Options, phrases: Sequence[str]) -> Vectors:
    """Read the file."""
    from avzsl.embeddings.released import read_released

    path = existing(options.table)
    exact = read_released(path, options.within)
    loose: dict[str, set[str]] = {}
    for key in exact:
        loose.setdefault("".join(words_of(key, lowercase=True)), set()).add(key)

    def lookup(phrase: str) -> tuple[np.ndarray | None, list[str]]:
        if phrase in exact:
            return exact[phrase], []
        keys = loose.get("".join(words_of(phrase, lowercase=True)), set())
        if len(keys) > 1:
            raise AvzslError(
                f"{path}: {phrase!r} may be any of {', '.join(map(repr, sorted(keys)))}; spell it as one of them"
            )
        return (exact[next(iter(keys))], []) if keys else (None, [phrase])

    return Vectors(lookup, options.table, first_use(options.table, path), {"lowercase": False}, "phrase")
