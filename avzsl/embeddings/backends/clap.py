"""A phrase as the text tower of LAION's CLAP reads it (512): beside the sounds of the feature set clip-clap."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from avzsl.config.base import LocalFolder, expand
from avzsl.contracts.errors import ConfigError
from avzsl.embeddings.backends import Vectors, encoded
from avzsl.embeddings.prompts import Prompts, about_sounds
from avzsl.pretrained.clip_files import LAION, check_installed

FILES = ("config.json", "tokenizer.json", "model.safetensors")


class Options(Prompts):
    """CLAP's folder and its prompts."""

    table: LocalFolder = Field(
        description="a folder with config.json, tokenizer.json and model.safetensors of laion/clap-htsat-unfused"
    )


def check(options: Options) -> None:
    """Raise ConfigError if the extra [clip] or a file of the folder is not there."""
    check_installed("transformers", "tokenizers")
    folder = expand(options.table)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        texts = [name for name in missing if name != "model.safetensors"]
        where = ([LAION.text] if texts else []) + ([LAION.weights] if texts != missing else [])
        raise ConfigError(
            f"embeddings.table: {folder} has no {' and no '.join(missing)}; put {'it' if len(missing) == 1 else 'them'} there: "
            f"{'; '.join(where)}"
        )


def vectors(options: Options, phrases: Sequence[str]) -> Vectors:
    """Encode the phrases."""
    from avzsl.pretrained.clap_text import LaionText

    check(options)
    folder = expand(options.table)
    files = {f"{options.table}/{name}": folder / name for name in FILES}
    return encoded(LaionText(folder).encode, about_sounds(options), phrases, options.table, files)
