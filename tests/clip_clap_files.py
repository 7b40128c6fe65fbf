"""Files of CLIP, LAION's CLAP and WavCaps in their published layouts, one layer deep, with seeded random weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

SHALLOW = (1, 1, 1, 1)
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
TEXT = {
    "num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 80,
    "projection_dim": 512, "max_position_embeddings": 40,
}  # fmt: skip
# transformers' names of the sound tower -> WavCaps'.
NAMES = (
    ("audio_model.audio_encoder.", "audio_encoder.audio_enc."), ("batch_norm.", "bn0."), (".layernorm_before.", ".norm1."),
    (".layernorm_after.", ".norm2."), (".intermediate.dense.", ".mlp.fc1."), (".attention.output.dense.", ".attn.proj."),
    (".output.dense.", ".mlp.fc2."), (".attention.self.query.", ".attn.qkv."), (".attention.self.", ".attn."),
    ("audio_projection.linear1.", "audio_proj.0."), ("audio_projection.linear2.", "audio_proj.2."),
)  # fmt: skip


def write_clip_weights(path: Path) -> Path:
    """Write both towers of CLIP by open_clip's names, OpenAI's too."""
    from avzsl.pretrained.checkpoints import random_state
    from avzsl.pretrained.clip import empty_clip

    safetensors.torch.save_file(random_state(empty_clip(1).state_dict(), 0), path)
    return path


def write_laion(folder: Path, words: Iterable[str], width: int = 512) -> Path:
    """Write LAION's CLAP by transformers' names, its configuration and a tokenizer of `words`; return the weights."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import ClapTextConfig, ClapTextModelWithProjection

    from avzsl.pretrained.checkpoints import random_state
    from avzsl.pretrained.clap import SoundEncoder
    from avzsl.pretrained.clip_files import LAION

    text = TEXT | {"projection_dim": width}
    both = ClapTextModelWithProjection(ClapTextConfig(**text)).state_dict() | SoundEncoder(LAION, SHALLOW).template()
    safetensors.torch.save_file(random_state(both, 0), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"text_config": text}), encoding="utf-8")
    known = {word: number for number, word in enumerate([*MARKS, *words])}
    tokenizer = Tokenizer(WordLevel(known, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "model.safetensors"


def write_wavcaps(folder: Path, words: Iterable[str]) -> Path:
    """Write WavCaps' checkpoint with its optimiser, and BERT's vocab.txt of `words`; return the checkpoint."""
    from avzsl.pretrained.checkpoints import random_state
    from avzsl.pretrained.clap import SoundEncoder
    from avzsl.pretrained.clap_text import WavCapsTower
    from avzsl.pretrained.clip_files import WAVCAPS

    text = random_state(WavCapsTower(layers=1).state_dict(), 0)
    model = {name.replace("text_encoder.", "text_encoder.text_encoder.", 1): value for name, value in text.items()}
    model |= wavcaps_names(random_state(SoundEncoder(WAVCAPS, SHALLOW).template(), 0))
    model |= {"audio_encoder.audio_enc.head.weight": torch.zeros(527, 768), "temp": torch.tensor(0.07)}
    torch.save({"model": model, "optimizer": {"state": {}}, "epoch": 15}, folder / "HTSAT_BERT_zero_shot.pt")
    (folder / "vocab.txt").write_text("\n".join([*MARKS, *words]), encoding="utf-8")
    return folder / "HTSAT_BERT_zero_shot.pt"


def wavcaps_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the sound tower by the names of WavCaps' checkpoint, queries, keys and values as one matrix."""
    out = {}
    for name, value in state.items():
        if ".attention.self.key." in name or ".attention.self.value." in name:
            continue
        whole = value
        if ".attention.self.query." in name:
            whole = torch.cat([state[name.replace(".query.", f".{part}.")] for part in ("query", "key", "value")])
        renamed = name
        for ours, theirs in NAMES:
            renamed = renamed.replace(ours, theirs)
        out[renamed] = whole
    return out
