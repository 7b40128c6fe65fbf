"""Vectors of several backends behind one another, each of norm 1 first: CLIP, then CLAP, as ClipClap takes its classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from avzsl.config import plugins
from avzsl.config.base import Section, Several, local_paths
from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.contracts.errors import ConfigError
from avzsl.contracts.hashing import sha256_value
from avzsl.embeddings.backends import Vectors

if TYPE_CHECKING:
    import numpy as np


class Options(Section):
    """The backends, each with its own keys."""

    parts: Several[dict[str, Any]] = Field(
        min_length=2,
        description="backends in the order of their vectors, each `{backend: NAME, ...}` with its own keys",
    )


def check(options: Options) -> None:
    """Raise ConfigError for a part that has wrong keys, names a file that is not there, or cannot be used."""
    for number, (name, given) in enumerate(_parts(options)):
        for key, _, path in local_paths(given):
            if not path.exists():
                raise ConfigError(f"embeddings.parts.{number}.{key}: there is no {path}; correct the path")
        hook = getattr(plugins.load(plugins.BACKEND, name), "check", None)
        if hook is not None:
            hook(given)


def vectors(options: Options, phrases: Sequence[str]) -> Vectors:
    """Ask every backend; a phrase that one of them does not know has no vector."""
    import numpy as np

    from avzsl.runtime.seals import uses

    for _, given in _parts(options):
        for _, _, path in local_paths(given):
            uses(path)
    found = [plugins.load(plugins.BACKEND, name).vectors(given, phrases) for name, given in _parts(options)]

    def lookup(phrase: str) -> tuple[np.ndarray | None, list[str]]:
        rows, unknown = [], []
        for one in found:
            row, words = one.lookup(phrase)
            unknown += words
            rows.append(row)
        if any(row is None or not row.any() for row in rows):
            return None, unknown
        return np.concatenate([row / np.linalg.norm(row) for row in rows]), unknown

    return Vectors(
        lookup, " + ".join(one.source for one in found), sha256_value([one.sha256 for one in found]),
        {"joined": [one.identity for one in found]}, found[0].unit,
    )  # fmt: skip


def _parts(options: Options) -> list[tuple[str, Any]]:
    out = []
    for number, part in enumerate(options.parts):
        where = f"embeddings.parts.{number}"
        if "backend" not in part:
            raise ConfigError(f"{where}: has no key `backend`; give one of {{backend: clip}}, {{backend: clap}} ...")
        name = EmbeddingsConfig(backend=part["backend"]).backend
        given = {key: value for key, value in part.items() if key != "backend"}
        out.append((name, plugins.typed(plugins.BACKEND, name, given, where, f"{where}.")))
    return out
