"""A phrase as the text tower of WavCaps reads it (1024): beside the sounds of features with `sound: wavcaps`."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from avzsl.config.base import LocalFile
from avzsl.embeddings.backends import Vectors, encoded, existing
from avzsl.embeddings.prompts import Prompts, about_sounds
from avzsl.pretrained.clip_files import check_installed


class Options(Prompts):
    """The weights of WavCaps, BERT's vocabulary, and prompts."""

    table: LocalFile = Field(description="the released checkpoint, the same file as `sound_weights` of the features")
    tokenizer: LocalFile = Field(description="tokenizer.json or vocab.txt of bert-base-uncased")


def check(options: Options) -> None:
    """Raise ConfigError if the extra [clip] is not there."""
    check_installed("transformers", "tokenizers")


def vectors(options: Options, phrases: Sequence[str]) -> Vectors:
    """Encode the phrases."""
    from avzsl.pretrained.clap_text import WavCapsText

    path, tokenizer = existing(options.table), existing(options.tokenizer)
    model = WavCapsText(path, tokenizer)
    return encoded(
        model.encode, about_sounds(options), phrases, options.table, {options.table: path, options.tokenizer: tokenizer}
    )
