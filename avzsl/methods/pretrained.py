"""Raw features without any learning: the lower bound of CJME's retrieval tables (section 5)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from avzsl.config.methods import TrainingConfig
from avzsl.methods.base import Dims, Method, TrainingSet
from avzsl.methods.blocks import pairwise
from avzsl.methods.options.pretrained import Options


class Pretrained(Method):
    """Unit features as they come; what is narrower than the widest is brought to its width by a random projection.

    The paper compares sound and picture of equal width directly and does not say how it compares 300 numbers of a
    class embedding with 1024 of a clip: no such comparison means anything, and a random projection says so plainly. Its
    classification is a guess, made only because every method has one.
    """

    settings = 1
    audio: Tensor
    visual: Tensor
    text: Tensor

    def __init__(self, dims: Dims, options: Options) -> None:
        super().__init__(dims, options)
        widest = max(dims.audio, dims.visual, dims.text)
        for name, width in (("audio", dims.audio), ("visual", dims.visual), ("text", dims.text)):
            projection = torch.eye(width) if width == widest else torch.randn(width, widest) / widest**0.5
            self.register_buffer(name, projection)

    def epoch(
        self, data: TrainingSet, optimisers: dict[str, torch.optim.Optimizer], training: TrainingConfig
    ) -> Tensor:
        """Do nothing; there is no loss, 0 stands for it."""
        return torch.zeros((), device=data.classes.device)

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return unit vectors of clips (N, widest) and classes (C, widest)."""
        points = {"audio": audio @ self.audio, "visual": visual @ self.visual, "classes": classes @ self.text}
        return {name: functional.normalize(x, dim=1) for name, x in points.items()}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the sum of both modalities' Euclidean distances."""
        points = self.embed(audio, visual, classes)
        return {"both": pairwise(points["audio"], points["classes"]) + pairwise(points["visual"], points["classes"])}


METHOD = Pretrained
