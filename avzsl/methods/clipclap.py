"""ClipClap-GZSL: projections of CLIP and CLAP features to their own text embeddings (Kurzendörfer et al., CVPR Workshops 2024).

A clip is one vector, its class the embeddings of prompts by the text encoders of both models, picture before sound.
theta are points of the common space, rho reconstructions of the encoded class u; `_o` of a clip, `_w` of a class.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.contracts.errors import ConfigError
from avzsl.methods.base import Batch, Dims, Method
from avzsl.methods.blocks import counting_steps, layer, pairwise
from avzsl.methods.inputs import join, width
from avzsl.methods.options.clipclap import Options

WIDTH, SPACE = 512, 64
STATISTICS_STEPS = counting_steps(0.1, passes=2)


class ClipClap(Method):
    """Encoders of clip and class, projections of both to one space and decoders back to the encoded class."""

    def __init__(self, dims: Dims, options: Options) -> None:
        super().__init__(dims, options)
        r_enc, r_dec, r_w = options.encoder_dropout, options.decoder_dropout, options.word_dropout
        self.which = options.modalities
        self.columns = _columns(dims, options.text)
        text = len(range(dims.text)[self.columns])

        def two_layers(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(layer(inputs, WIDTH, r_dec), layer(WIDTH, outputs, r_dec))

        self.O_enc, self.W_enc = layer(width(dims, self.which), WIDTH, r_enc), layer(text, WIDTH, r_enc)
        self.O_proj, self.D_o = two_layers(WIDTH, SPACE), two_layers(SPACE, WIDTH)
        self.W_proj, self.D_w = layer(WIDTH, SPACE, r_w), layer(SPACE, WIDTH, r_w)
        self._statistics = options.statistics_passes

    def _theta_o(self, audio: Tensor, visual: Tensor) -> Tensor:
        return self.O_proj(self.O_enc(join(audio, visual, self.which)))

    def _encode(self, text: Tensor) -> Tensor:
        return self.W_enc(text[:, self.columns])

    def intermediates(self, batch: Batch) -> dict[str, Tensor]:
        """Return encodings and points; rows of `theta_classes` are training classes, of all others clips.

        The order of the calls is the released code's: it decides the batch-norm buffers.
        """
        clips = batch.positive
        x = {"o": self.O_enc(join(clips.audio, clips.visual, self.which)), "u": self._encode(clips.text)}
        x["theta_o"] = self.O_proj(x["o"])
        x["rho_o"] = self.D_o(x["theta_o"])
        x["theta_w"] = self.W_proj(x["u"])
        x["rho_w"] = self.D_w(x["theta_w"])
        x["theta_classes"] = self.W_proj(self._encode(batch.classes))
        return x

    def terms(self, x: dict[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
        """Return the terms of the loss, scalars; nothing is detached, u included."""
        d = functional.mse_loss
        return {
            "reg": d(x["theta_o"], x["theta_w"]),
            "rec": d(x["rho_o"], x["u"]) + d(x["rho_w"], x["u"]),
            "ce": functional.cross_entropy(x["theta_o"] @ x["theta_classes"].T, labels),
        }

    def loss(self, batch: Batch) -> Tensor:
        """Return l_reg + l_rec + l_ce, weights 1."""
        return torch.stack(list(self.terms(self.intermediates(batch), batch.positive.labels).values())).sum()

    def step(self, batch: Batch, optimisers: dict[str, torch.optim.Optimizer], remaining: int) -> Tensor:
        """Take one step; as released, then see the positives once more in training mode."""
        loss = super().step(batch, optimisers, remaining)
        if self._statistics and remaining < STATISTICS_STEPS:
            with torch.no_grad():
                self._theta_o(batch.positive.audio, batch.positive.visual)
                self.W_proj(self._encode(batch.positive.text))
        return loss

    def embed(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return theta_o (N, 64), named by its modalities, and theta_w (C, 64)."""
        return {self.which: self._theta_o(audio, visual), "classes": self.W_proj(self._encode(classes))}

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return the Euclidean distances of theta_o to theta_w."""
        points = self.embed(audio, visual, classes)
        return {"both": pairwise(points[self.which], points["classes"])}


def _columns(dims: Dims, which: str) -> slice:
    """Return the columns of the class embeddings that belong to a modality: the picture's model comes first."""
    if which == "all":
        return slice(dims.text)
    if dims.text != dims.visual + dims.audio:
        raise ConfigError(
            f"method option text: {which} needs class embeddings of {dims.visual} columns for the picture and "
            f"{dims.audio} for the sound, but they have {dims.text} columns; use all"
        )
    return slice(dims.visual) if which == "visual" else slice(dims.visual, dims.text)


METHOD = ClipClap
