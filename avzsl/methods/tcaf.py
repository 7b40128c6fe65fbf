"""TCaF: temporal cross-attention over steps of sound and picture (Mercea et al., ECCV 2022).

Where its released code departs from the paper, or holds what the paper does not say, the option is named and listed
in docs/fidelity-methods.md. theta are points of the common space, rho class embeddings decoded from them; `_o` of a
clip, `_w` of a class.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.methods.base import Batch, Dims, Method, Steps
from avzsl.methods.blocks import counting_steps, layer, pairwise
from avzsl.methods.options.tcaf import Options
from avzsl.methods.tcaf_parts import (
    AUDIO,
    EMBEDDING,
    VISUAL,
    WIDTH,
    StepEncoder,
    TimeCode,
    Transformer,
    average,
    normalise,
    places,
    real,
    two_layers,
)

SPACE = 64
Clock = Literal["seconds", "nominal", "index", "none"]
STATISTICS_STEPS = counting_steps(0.1, passes=2)


class TCaF(Method[Steps]):
    """The model of section 3.2 with the losses of section 3.3."""

    inputs = "sequences"
    negatives = False
    options: Options

    def __init__(self, dims: Dims, options: Options) -> None:
        super().__init__(dims, options)
        r_dec, r_w, hidden = options.decoder_dropout, options.word_dropout, options.decoder_hidden
        nominal = (options.audio_step_seconds, options.visual_step_seconds)
        self.nominal_seconds = nominal
        # Crops follow the same clock as the tokens.
        self.step_seconds = nominal if options.training_time == "nominal" else None
        self.norms = (options.audio_norm, options.visual_norm)
        self.training_time = options.training_time
        # Outside of the loss.
        self.test_time: Clock = "index" if options.test_time == "index" else options.training_time
        self.encoders = nn.ModuleList(StepEncoder(width, options) for width in (dims.audio, dims.visual))
        self.modality = nn.Parameter(torch.randn(2, EMBEDDING)) if options.modality_embedding else None
        self.time = None if self.training_time == "none" else TimeCode()
        self.transformer = Transformer(options)
        self.O_proj = two_layers(WIDTH, hidden, SPACE, r_dec)
        self.D_o = two_layers(SPACE, hidden, dims.text, r_dec)
        self.W_proj, self.D_w = layer(dims.text, SPACE, r_w), layer(SPACE, dims.text, r_w)
        self._statistics = options.statistics_passes

    def _seconds(self, steps: Steps, modality: int, clock: Clock) -> Tensor:
        """Return the time that stands for each step, (B or 1, T) float64."""
        if clock == "seconds":
            return steps.times[..., 0]
        index = torch.arange(steps.values.shape[1], device=steps.values.device, dtype=torch.float64)[None]
        return index if clock == "index" else index * self.nominal_seconds[modality]

    def _tokens(self, steps: Steps, modality: int, clock: Clock) -> tuple[Tensor, Tensor]:
        """Return a modality's tokens (B, T, WIDTH) and which of them are real (B, T)."""
        if self.options.average_steps:
            steps = average(steps)
        values, mask = normalise(steps.values, self.norms[modality]), real(steps)
        embedding = values.new_zeros(1, 1, EMBEDDING)
        if self.modality is not None:
            embedding = embedding + self.modality[modality]
        if self.time is not None:
            embedding = embedding + self.time(self._seconds(steps, modality, clock), values.dtype)
        return self.encoders[modality](values, places(steps), embedding), mask

    def _theta(self, audio: Steps, visual: Steps, clock: Clock) -> Tensor:
        tokens_a, real_a = self._tokens(audio, AUDIO, clock)
        tokens_v, real_v = self._tokens(visual, VISUAL, clock)
        theta: Tensor = self.O_proj(self.transformer(tokens_a, tokens_v, real_a, real_v))
        return theta

    def intermediates(self, batch: Batch[Steps]) -> dict[str, Tensor]:
        """Return theta_o, rho_o, theta_w, rho_w (rows are clips) and theta_classes (rows are training classes).

        The order of the calls is the released code's: it decides the batch-norm buffers.
        """
        clips = batch.positive
        x = {"theta_o": self._theta(clips.audio, clips.visual, self.training_time)}
        x["rho_o"] = self.D_o(x["theta_o"])
        x["theta_w"] = self.W_proj(clips.text)
        x["rho_w"] = self.D_w(x["theta_w"])
        x["theta_classes"] = self.W_proj(batch.classes)
        return x

    def terms(self, x: dict[str, Tensor], batch: Batch[Steps]) -> dict[str, Tensor]:
        """Return the terms of the loss, scalars; nothing is detached."""
        terms: dict[str, Tensor] = {}
        w = batch.positive.text
        if self.options.loss_regression:
            terms["reg"] = functional.mse_loss(x["theta_o"], x["theta_w"])
        if self.options.loss_reconstruction:
            terms["rec"] = functional.mse_loss(x["rho_o"], w) + functional.mse_loss(x["rho_w"], w)
        if self.options.loss_cross_entropy:
            terms["ce"] = functional.cross_entropy(x["theta_o"] @ x["theta_classes"].T, batch.positive.labels)
        return terms

    def loss(self, batch: Batch[Steps]) -> Tensor:
        """Return l_reg + l_rec + l_ce, weights 1."""
        return torch.stack(list(self.terms(self.intermediates(batch), batch).values())).sum()

    def step(self, batch: Batch[Steps], optimisers: dict[str, torch.optim.Optimizer], remaining: int) -> Tensor:
        """Take one step; as released, then see the positives once more in training mode, on the test's clock."""
        loss = super().step(batch, optimisers, remaining)
        if self._statistics and remaining < STATISTICS_STEPS:
            with torch.no_grad():
                self._theta(batch.positive.audio, batch.positive.visual, self.test_time)
                self.W_proj(batch.positive.text)
        return loss

    def embed(self, audio: Steps, visual: Steps, classes: Tensor) -> dict[str, Tensor]:
        """Return theta_o (N, 64) and theta_w (C, 64)."""
        return {"both": self._theta(audio, visual, self.test_time), "classes": self.W_proj(classes)}

    def distances(self, audio: Steps, visual: Steps, classes: Tensor) -> dict[str, Tensor]:
        """Return the Euclidean distances of theta_o to theta_w."""
        points = self.embed(audio, visual, classes)
        return {"both": pairwise(points["both"], points["classes"])}


METHOD = TCaF
