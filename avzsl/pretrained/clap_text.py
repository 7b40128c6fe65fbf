"""The text towers of the two CLAPs: phrases -> unit vectors beside those of their sounds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avzsl.contracts.errors import DataError
from avzsl.pretrained.advice import fetch
from avzsl.pretrained.checkpoints import fit_state, read_tensors
from avzsl.pretrained.clap import unit
from avzsl.pretrained.clip_files import LAION, WAVCAPS, check_installed

FILES = ("config.json", "tokenizer.json", "model.safetensors")
BATCH = 64
LONGEST = 512
WAVCAPS_LONGEST = 30  # as its configuration has it
# transformers computes these, whatever a file says.
COMPUTED = ("position_ids", "token_type_ids")


class LaionText:
    """LAION's text tower (RoBERTa) from a folder with config.json, tokenizer.json and model.safetensors."""

    def __init__(self, folder: Path) -> None:
        """Read the folder; raises DataError for files of another layout, ConfigError without the extra [clip]."""
        check_installed("transformers", "tokenizers")
        from transformers import ClapTextConfig, ClapTextModelWithProjection

        try:
            config = ClapTextConfig(**json.loads((folder / "config.json").read_text(encoding="utf-8"))["text_config"])
            network: nn.Module = ClapTextModelWithProjection(config)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                folder / "config.json", f"is not the configuration of a CLAP ({error}); {LAION.text}"
            ) from error
        self._tokenizer = read_tokenizer(folder / "tokenizer.json", LONGEST, LAION.text)
        _fill(network, folder / "model.safetensors", {}, fetch(LAION.weights))
        self._network = network

    @torch.inference_mode()
    def encode(self, phrases: Sequence[str]) -> Tensor:
        """Return unit vectors (phrases, dim)."""
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(phrases))]
        return by_length(
            ids,
            lambda tokens: unit(self._network(input_ids=tokens, attention_mask=torch.ones_like(tokens)).text_embeds),
        )


class WavCapsText:
    """The text tower of WavCaps: BERT's first state, two layers; the tokenizer is BERT's (bert-base-uncased)."""

    def __init__(self, path: Path, tokenizer: Path, layers: int = 12) -> None:
        """Read the released checkpoint and the tokenizer's file; raises DataError, ConfigError without the extra [clip]."""
        self._tokenizer = read_tokenizer(tokenizer, WAVCAPS_LONGEST, WAVCAPS.text)
        self._network = WavCapsTower(layers)
        _fill(self._network, path, NAMES, fetch(WAVCAPS.weights))

    @torch.inference_mode()
    def encode(self, phrases: Sequence[str]) -> Tensor:
        """Return unit vectors (phrases, 1024); phrases are cut after 30 tokens."""
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(phrases))]
        return by_length(ids, lambda tokens: unit(self._network(tokens)))


class WavCapsTower(nn.Module):
    """Token ids (N, T) -> (N, 1024), not normalised; tensor names are the checkpoint's less a prefix."""

    def __init__(self, layers: int = 12) -> None:
        super().__init__()
        check_installed("transformers", "tokenizers")
        from transformers import BertConfig, BertModel

        self.text_encoder: nn.Module = BertModel(BertConfig(num_hidden_layers=layers), add_pooling_layer=False)
        self.text_proj = nn.Sequential(nn.Linear(768, 1024), nn.ReLU(), nn.Linear(1024, 1024))
        self.eval()

    def forward(self, tokens: Tensor) -> Tensor:
        states = self.text_encoder(input_ids=tokens, attention_mask=torch.ones_like(tokens)).last_hidden_state
        found: Tensor = self.text_proj(states[:, 0])
        return found


NAMES = {"text_encoder.text_encoder.": "text_encoder."}


def _fill(network: nn.Module, path: Path, names: Mapping[str, str], advice: str) -> None:
    tensors = read_tensors(path, advice)
    for theirs, ours in names.items():
        tensors = {ours + n.removeprefix(theirs) if n.startswith(theirs) else n: t for n, t in tensors.items()}
    template = {name: value for name, value in network.state_dict().items() if not name.endswith(COMPUTED)}
    network.load_state_dict(fit_state(path, tensors, template, advice), strict=False)
    network.train(False)


def read_tokenizer(path: Path, longest: int, advice: str) -> Any:
    """Return the tokenizer of a tokenizer.json or of BERT's vocab.txt, which cuts after `longest` tokens.

    Raises DataError, with `advice`, for another file.
    """
    from tokenizers import BertWordPieceTokenizer, Tokenizer

    try:
        read = BertWordPieceTokenizer if path.suffix == ".txt" else Tokenizer.from_file
        tokenizer: Any = read(str(path))
    except Exception as error:  # tokenizers raises plain Exceptions
        raise DataError(
            path, f"is not the file of a tokenizer, tokenizer.json or vocab.txt ({error}); {advice}"
        ) from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(longest)
    return tokenizer


def by_length(ids: Sequence[Sequence[int]], run: Any) -> Tensor:
    """Return what `run` gives for token ids (N, T), those of one length together, in the order given.

    Without padding there is nothing to mask, and a phrase's vector does not depend on its neighbours.
    """
    places: dict[int, list[int]] = {}
    for place, tokens in enumerate(ids):
        places.setdefault(len(tokens), []).append(place)
    rows: dict[int, Tensor] = {}
    for group in places.values():
        for start in range(0, len(group), BATCH):
            part = group[start : start + BATCH]
            rows |= dict(zip(part, run(torch.tensor([ids[place] for place in part])), strict=True))
    return torch.stack([rows[place] for place in range(len(ids))])
