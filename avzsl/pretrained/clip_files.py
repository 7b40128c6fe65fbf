"""What is known of CLIP and of the two CLAPs without loading them: sizes, and where their weights are to be had."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np

from avzsl.contracts.errors import ConfigError

# CLIP's pictures: square RGB, less the mean and over the spread of its training set, of 0 ... 1.
SIDE, CLIP_DIM = 224, 512
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
INSTALL = "pip install 'avzsl[clip]'"
CLIP_WEIGHTS = (
    "CLIP ViT-B/32 in the tensor names of OpenAI, open_clip or transformers, such as open_clip_model.safetensors of "
    "https://huggingface.co/timm/vit_base_patch32_clip_224.openai (about 600 MB, MIT)"
)
SECONDS = 10  # of sound that a CLAP hears at once


def check_installed(*packages: str) -> None:
    """Raise ConfigError if a package of the extra [clip] is missing; nothing is imported."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"the package {package} is not installed: {INSTALL}")


@dataclass(frozen=True)
class Clap:
    """One of the released towers: samples a second and between frames, width, and how a shorter sound is filled up."""

    name: str
    rate: int
    hop: int
    dim: int
    repeated: bool  # as often as it fits, then silence; else silence alone
    weights: str  # where people find them
    text: str  # where people find what reads phrases beside them

    @property
    def samples(self) -> int:
        """What the network hears at once."""
        return SECONDS * self.rate


LAION = Clap(
    "laion", 48000, 480, 512, True,
    "CLAP in the tensor names of transformers, such as model.safetensors of "
    "https://huggingface.co/laion/clap-htsat-unfused (about 620 MB, Apache-2.0; for phrases its config.json and tokenizer.json beside it)",
    "fetch config.json and tokenizer.json from https://huggingface.co/laion/clap-htsat-unfused (about 2 MB, Apache-2.0) into the folder of "
    "its model.safetensors",
)  # fmt: skip
WAVCAPS = Clap(
    "wavcaps", 32000, 320, 1024, False,
    "HTSAT_BERT_zero_shot.pt of WavCaps, linked from https://github.com/XinhaoMei/WavCaps (1.7 GB, non-commercial research only)",
    "fetch vocab.txt or tokenizer.json of bert-base-uncased from https://huggingface.co/google-bert/bert-base-uncased (below 1 MB, "
    "Apache-2.0)",
)  # fmt: skip
CLAPS = {clap.name: clap for clap in (LAION, WAVCAPS)}


def filled(samples: np.ndarray, clap: Clap) -> np.ndarray:
    """Return ten seconds of a mono sound (n,), n from 1 to ten seconds, in the manner of its network."""
    if clap.repeated:
        samples = np.tile(samples, clap.samples // samples.size)
    return np.pad(samples, (0, clap.samples - samples.size))
