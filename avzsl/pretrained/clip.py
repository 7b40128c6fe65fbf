"""CLIP ViT-B/32 (Radford et al., ICML 2021) by open_clip: RGB pictures and phrases -> vectors of 512.

OpenAI's weights need the activation x * sigmoid(1.702 x). open_clip's plain `ViT-B-32` takes their tensors too and has another
one: nothing fails, and every vector is a little wrong. The model is therefore named here, and checked when it is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avzsl.contracts.errors import ConfigError
from avzsl.pretrained.advice import fetch
from avzsl.pretrained.checkpoints import fit_state, read_tensors
from avzsl.pretrained.clip_files import CLIP_DIM, CLIP_WEIGHTS, INSTALL, MEAN, STD, check_installed
from avzsl.pretrained.clip_names import openai_names

MODEL = "ViT-B-32-quickgelu"
BATCH = 64
ADVICE = fetch(CLIP_WEIGHTS)


def empty_clip(layers: int | None = None) -> Any:
    """Return open_clip's network without weights (on the device meta); `layers` fewer than its twelve are for tests."""
    check_installed("open_clip")
    import open_clip

    config = open_clip.get_model_config(MODEL)
    if layers is not None:
        for tower in ("vision_cfg", "text_cfg"):
            config[tower] = {**config[tower], "layers": layers}
    with torch.device("meta"):
        return open_clip.CLIP(**config).eval()


class PictureEncoder(nn.Module):
    """Uint8 RGB (N, 224, 224, 3) -> (N, 512), not normalised."""

    dim = CLIP_DIM

    def __init__(self, layers: int | None = None) -> None:
        super().__init__()
        self.visual = empty_clip(layers).visual
        # Not part of the checkpoint.
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def take(self, state: Mapping[str, Tensor]) -> None:
        """Take weights as they are; raises ConfigError if the network's activation is not the one they were made for."""
        self.load_state_dict(dict(state), assign=True)
        _check_activation(self.visual)

    def normalised(self, pictures: Tensor) -> Tensor:
        """Return what the network sees: float32 (N, 3, 224, 224)."""
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        return (pictures.permute(0, 3, 1, 2).float() / 255 - mean) / std

    def forward(self, pictures: Tensor) -> Tensor:
        found: Tensor = self.visual(self.normalised(pictures))
        return found


class TextEncoder:
    """Phrases -> unit vectors of CLIP's text tower."""

    def __init__(self, path: Path, layers: int | None = None) -> None:
        """Read the weights of a checkpoint; raises DataError for another file, ConfigError without the extra [clip]."""
        network = empty_clip(layers)
        del network.visual
        tensors = openai_names(read_tensors(path, ADVICE))
        network.load_state_dict(fit_state(path, tensors, network.state_dict(), ADVICE), assign=True)
        _check_activation(network)
        # The mask is computed, not in the file, and had no numbers on the device meta.
        length = network.context_length
        network.attn_mask = torch.full((length, length), float("-inf")).triu_(1)
        self._network = network

    @torch.inference_mode()
    def encode(self, phrases: Sequence[str]) -> Tensor:
        """Return unit vectors (phrases, 512); phrases are cut after 77 tokens, as the network's length is."""
        import open_clip

        tokens = open_clip.SimpleTokenizer()(list(phrases))
        parts = [self._network.encode_text(part, normalize=True) for part in tokens.split(BATCH)]
        return torch.cat(parts)


def _check_activation(network: nn.Module) -> None:
    x = torch.linspace(-4, 4, 33)
    found = [part for name, part in network.named_modules() if name.endswith("mlp.gelu")]
    if not found or not all(torch.allclose(part(x), x * torch.sigmoid(1.702 * x), atol=1e-6) for part in found):
        raise ConfigError(
            f"open_clip's {MODEL} has another activation than OpenAI's CLIP; install its version of {INSTALL}"
        )
