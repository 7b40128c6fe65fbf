"""A phrase as CLIP's text tower reads it (ViT-B/32, 512): beside the pictures of the feature set clip-clap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from avzsl.config.base import LocalFile
from avzsl.embeddings.backends import Vectors, encoded, existing
from avzsl.embeddings.prompts import Prompts, about_pictures
from avzsl.pretrained.clip_files import check_installed


class Options(Prompts):
    """CLIP's weights and its prompts."""

    table: LocalFile = Field(
        description="the weights of CLIP ViT-B/32, the same file as `picture_weights` of the features"
    )


def check(options: Options) -> None:
    """Raise ConfigError if the extra [clip] is not there."""
    check_installed("open_clip")


def vectors(options: Options, phrases: Sequence[str]) -> Vectors:
    """Encode the phrases."""
    from avzsl.pretrained.clip import TextEncoder

    path: Path = existing(options.table)
    return encoded(TextEncoder(path).encode, about_pictures(options), phrases, options.table, {options.table: path})
