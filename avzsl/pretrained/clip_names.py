"""CLIP's tensors by transformers' names (CLIPModel) -> by OpenAI's, which open_clip has too."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

TOWERS = {"vision_model.": "visual.", "text_model.": ""}
NAMES = (
    ("embeddings.class_embedding", "class_embedding"),
    ("embeddings.patch_embedding.", "conv1."),
    ("embeddings.token_embedding.", "token_embedding."),
    ("embeddings.position_embedding.weight", "positional_embedding"),
    ("pre_layrnorm.", "ln_pre."),
    ("post_layernorm.", "ln_post."),
    ("final_layer_norm.", "ln_final."),
    ("encoder.layers.", "transformer.resblocks."),
    (".self_attn.out_proj.", ".attn.out_proj."),
    (".layer_norm1.", ".ln_1."),
    (".layer_norm2.", ".ln_2."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
)
PROJECTIONS = {"visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection"}


def openai_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return CLIP's tensors by OpenAI's names; those of a file that has them already as they are."""
    if not any(name.startswith("vision_model.") for name in tensors):
        return dict(tensors)
    out: dict[str, Tensor] = {}
    for name, value in tensors.items():
        tower = next((tower for tower in TOWERS if name.startswith(tower)), None)
        if name in PROJECTIONS:
            out[PROJECTIONS[name]] = value.T.contiguous()
        elif tower is None:
            out[name] = value
        elif ".self_attn.q_proj." in name:  # queries, keys and values are one matrix here and three there
            thirds = [tensors.get(name.replace(".q_proj.", f".{part}_proj.")) for part in "qkv"]
            if all(third is not None for third in thirds):
                ours = TOWERS[tower] + re.sub(r"\.self_attn\.q_proj\.", ".attn.in_proj_", _renamed(name, tower))
                out[ours] = torch.cat([third for third in thirds if third is not None])
        elif not re.search(r"\.self_attn\.[kv]_proj\.|position_ids$", name):
            out[TOWERS[tower] + _renamed(name, tower)] = value
    return out


def _renamed(name: str, tower: str) -> str:
    inner = name.removeprefix(tower)
    for theirs, ours in NAMES:
        inner = inner.replace(theirs, ours)
    return inner
