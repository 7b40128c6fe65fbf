"""CLIP and CLAP as they are: a picture beside CLIP's text, a sound beside CLAP's text; nothing is fitted.

The zero-shot classification of Radford et al. (ICML 2021), for both modalities: what every trained method on these features
has to beat. Both networks were trained with captions from the web, which may name any class.
"""

from __future__ import annotations

import torch
from torch import Tensor

from avzsl.config.methods import TrainingConfig
from avzsl.contracts.errors import ConfigError
from avzsl.methods.base import Dims, Method, TrainingSet
from avzsl.methods.closed_form import cosine_distances
from avzsl.methods.options.clip_zeroshot import Options


class ClipZeroShot(Method):
    """Cosine distances of `visual` to CLIP's part of a class embedding and of `audio` to CLAP's; `both` is their mean.

    A clip that lacks a modality is judged by the other alone.
    """

    settings = 1

    def __init__(self, dims: Dims, options: Options) -> None:
        """Raises ConfigError where class embeddings are not CLIP's and CLAP's behind one another."""
        super().__init__(dims, options)
        if dims.text != dims.visual + dims.audio:
            raise ConfigError(
                f"method clip-zeroshot: needs class embeddings of {dims.visual} + {dims.audio} numbers, CLIP's text before "
                f"CLAP's (embeddings: backend: joined), and these have {dims.text}"
            )

    def epoch(
        self, data: TrainingSet, optimisers: dict[str, torch.optim.Optimizer], training: TrainingConfig
    ) -> Tensor:
        """Look whose features these are; there is nothing to learn and no loss, 0 stands for it."""
        name = data.extractor.get("name")
        # Of imported features only their owner knows what made them.
        if name != "clip_clap" and data.extractor.get("execution") != "imported":
            raise ConfigError(
                f"method clip-zeroshot: needs features of CLIP and CLAP (features: clip-clap); these are {name}"
            )
        return torch.zeros((), device=data.classes.device)

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return cosine distances of each modality, and their mean."""
        outputs = {
            "visual": cosine_distances(visual, classes[:, : self.dims.visual]),
            "audio": cosine_distances(audio, classes[:, self.dims.visual :]),
        }
        return {"both": torch.stack(list(outputs.values())).nanmean(0), **outputs}


METHOD = ClipZeroShot
