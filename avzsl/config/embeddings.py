"""How class names become vectors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from avzsl.config.base import Section


class EmbeddingsConfig(Section):
    """Class embeddings: a backend and where its vectors are."""

    backend: Literal["table", "fasttext", "published", "sentences"] = Field(
        "table",
        description="table: mean of the word vectors; fasttext: the whole phrase as one token, from its character "
        "n-grams; published: a ready vector a phrase, the .npy files of the AVCA repository; sentences: the phrase as a "
        "sentence encoder reads it",
    )
    table: str = Field(
        "",
        description="table: a word2vec/GloVe file (.txt, .vec, .bin, each also .gz), 'demo' for the built-in words of the "
        "demo, or 'glove-6b-50d' for the table of the extra [glove]; fasttext: a model (.bin); published: a .npy file; sentences: nothing for MiniLM of the extra [pretrained], or a folder "
        "with its config.json, tokenizer.json and model.safetensors",
    )
    prompts: tuple[str, ...] = Field(
        ("{}",),
        min_length=1,
        description="sentences: what is embedded, {} stands for the phrase; of several the mean is taken",
    )
    unknown: Literal["error", "skip"] = Field(
        "error", description="skip: leave unknown words out of the mean, and classes without a known word out"
    )
    lowercase: bool | None = Field(
        None, description="look words up in lower case; default: table yes, fasttext no (as the published vectors)"
    )

    @model_validator(mode="after")
    def _table_named(self) -> EmbeddingsConfig:
        if not self.table and self.backend != "sentences":
            raise ValueError(f"table: the backend {self.backend} needs one")
        return self

    @field_validator("prompts")
    @classmethod
    def _have_a_place(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
        for prompt in prompts:
            if prompt.count("{}") != 1:
                raise ValueError(f"{prompt!r} must hold {{}} once, where the phrase stands")
        return prompts
