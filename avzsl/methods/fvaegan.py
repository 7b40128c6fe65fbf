"""f-VAEGAN-D2: features of unseen classes are generated, then a softmax classifier is trained (Xian et al., CVPR 2019).

Adapted to audio-visual features as in AVCA section 4.3. Without unlabelled clips of the unseen classes (the inductive
setting) the second critic D2 has nothing of its own to see; the released code trains it and never uses it, so it is
left out here: no result depends on it.
"""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.config.methods import TrainingConfig
from avzsl.contracts.errors import AvzslError
from avzsl.methods.base import Batch, Dims, Method, TrainingSet
from avzsl.methods.blocks import Linear
from avzsl.methods.inputs import join, width
from avzsl.methods.options.fvaegan import Options

HIDDEN = 512
# Momenta of Adam for adversarial training, as released.
BETAS = (0.5, 0.999)
PENALTY = 10.0  # of the critic's gradient


class Encoded(NamedTuple):
    """Mean and log variance (B, k_w) of the latent of each clip."""

    mean: Tensor
    log_variance: Tensor


class Encoder(nn.Module):
    """[x, w] -> the distribution of the latent."""

    def __init__(self, features: int, text: int) -> None:
        super().__init__()
        self.hidden = Linear(features + text, text)
        self.mean, self.log_variance = Linear(text, text), Linear(text, text)

    def forward(self, x: Tensor, w: Tensor) -> Encoded:
        hidden = self.hidden(torch.cat([x, w], dim=1)).relu()
        return Encoded(self.mean(hidden), self.log_variance(hidden))


class FVAEGAN(Method):
    """A generator of features given a class embedding, trained as a decoder (VAE) and against a critic (WGAN)."""

    options: Options
    low: Tensor
    span: Tensor

    def __init__(self, dims: Dims, options: Options) -> None:
        super().__init__(dims, options)
        features, text = width(dims, "both"), dims.text
        self.minmax = options.scaling == "minmax"
        self.every, self.synthetic = options.critic_steps, options.synthetic
        self.encoder = Encoder(features, text)
        self.generator = nn.Sequential(Linear(2 * text, HIDDEN), nn.ReLU(), Linear(HIDDEN, features), nn.Sigmoid())
        self.critic = nn.Sequential(Linear(features + text, HIDDEN), nn.LeakyReLU(0.2), Linear(HIDDEN, 1))
        for module in self.critic:
            _initialise(module)
        self.register_buffer("low", torch.zeros(features))
        self.register_buffer("span", torch.ones(features))
        self._data: TrainingSet | None = None
        self._classifier: tuple[Tensor, nn.Linear] | None = None

    def needs(self) -> frozenset[str]:
        """Return none: it joins what is there."""
        return frozenset()

    def optimisers(self, training: TrainingConfig) -> dict[str, torch.optim.Optimizer]:
        """Return Adam for the generator with its encoder, and for the critic."""
        generator = list(chain(self.encoder.parameters(), self.generator.parameters()))
        parts = {"generator": generator, "critic": list(self.critic.parameters())}
        return {
            name: torch.optim.Adam(
                parameters, lr=training.lr, betas=BETAS, weight_decay=training.weight_decay, fused=True
            )
            for name, parameters in parts.items()
        }

    def joined(self, audio: Tensor, visual: Tensor) -> Tensor:
        """Return features (N, k_a + k_v) in [0, 1], the range of the generator."""
        if self.minmax:
            return ((join(audio, visual, "both") - self.low) / self.span).clamp(0, 1)
        return join(audio, visual, "both", unit=True)

    def epoch(
        self, data: TrainingSet, optimisers: dict[str, torch.optim.Optimizer], training: TrainingConfig
    ) -> Tensor:
        """Train for one epoch: `batches_per_epoch` batches, or a single one where `one_batch` is set, as released.

        Raises AvzslError if unit-norm features are negative: the reconstruction's cross-entropy needs shares.
        """
        if self._data is None:
            self._data = data
            ends = [torch.aminmax(join(c.audio, c.visual, "both"), dim=0) for c in data.blocks()]
            low, high = torch.stack([e.min for e in ends]).amin(0), torch.stack([e.max for e in ends]).amax(0)
            if self.minmax:
                self.low.copy_(low)
                self.span.copy_(torch.where(high > low, high - low, 1.0))
            elif (low < 0).any():
                raise AvzslError("method fvaegan: scaling: unit needs features of at least 0; take scaling: minmax")
        self._classifier = None
        if self.options.one_batch:
            training = training.model_copy(update={"batches_per_epoch": 1})
        return super().epoch(data, optimisers, training)

    def step(self, batch: Batch, optimisers: dict[str, torch.optim.Optimizer], remaining: int) -> Tensor:
        """Train the critic and, every `critic_steps` steps and in an epoch's last, generator and encoder."""
        w, p = batch.positive.text, batch.positive
        x = self.joined(p.audio, p.visual)
        loss = self.critic_loss(x, w)
        _descend(loss, optimisers["critic"])
        if remaining % self.every == 0:
            _descend(self.generator_loss(x, w), optimisers["generator"])
        return loss.detach()

    def critic_loss(self, x: Tensor, w: Tensor) -> Tensor:
        """Return mean D(x~) - mean D(x) + 10 (|grad D| - 1)^2 with x~ decoded from the clip's own latent."""
        with torch.no_grad():
            fake = self.decode(self._latent(self.encoder(x, w)), w)
        share = torch.rand_like(x[:, :1])
        between = (share * x + (1 - share) * fake).requires_grad_()
        [gradient] = torch.autograd.grad(self._judge(between, w).sum(), between, create_graph=True)
        penalty = PENALTY * (gradient.norm(dim=1) - 1).square().mean()
        return self._judge(fake, w).mean() - self._judge(x, w).mean() + penalty

    def generator_loss(self, x: Tensor, w: Tensor) -> Tensor:
        """Return the VAE loss, summed over the batch, and the critic's verdict on decoded and on free samples."""
        encoded = self.encoder(x, w)
        decoded, free = self.decode(self._latent(encoded), w), self.decode(torch.randn_like(w), w)
        reconstruction = functional.binary_cross_entropy(decoded, x, reduction="sum")
        mean, log_variance = encoded
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        verdict = self._judge(decoded, w).mean() + self._judge(free, w).mean()
        return reconstruction + divergence - self.options.adversarial_weight * len(x) * verdict

    def decode(self, z: Tensor, w: Tensor) -> Tensor:
        """Return features (B, k_a + k_v) for latents and class embeddings (B, k_w)."""
        return self.generator(torch.cat([z, w], dim=1))

    def _latent(self, encoded: Encoded) -> Tensor:
        return encoded.mean + (0.5 * encoded.log_variance).exp() * torch.randn_like(encoded.mean)

    def _judge(self, x: Tensor, w: Tensor) -> Tensor:
        return self.critic(torch.cat([x, w], dim=1))

    def distances(self, audio: Tensor, visual: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """Return minus the log probability of each class under a softmax classifier of the candidates.

        The classifier is trained here, once for a state of the generator and a set of candidates, on real clips of the
        training classes and synthetic ones of all others.
        """
        if self._classifier is None or not torch.equal(self._classifier[0], classes):
            with torch.enable_grad():
                self._classifier = classes, self._train_classifier(classes)
        return {"both": -self._classifier[1](self.joined(audio, visual)).log_softmax(1)}

    def _train_classifier(self, classes: Tensor) -> nn.Linear:
        if self._data is None:
            raise AvzslError(
                "method fvaegan: its classifier is made from the training clips, which a saved model does not hold"
            )
        data, known = self._data, self._data.classes
        # Which candidate each training class is: embeddings are compared, since a method knows classes by nothing else.
        same = (classes[:, None] == known[None]).all(2)
        column = same.int().argmax(0)
        unseen = torch.nonzero(~same.any(1))[:, 0]
        with torch.no_grad():
            w = classes[unseen].repeat_interleave(self.synthetic, 0)
            made, of_made = self.decode(torch.randn_like(w), w), unseen.repeat_interleave(self.synthetic)
        real = len(data)
        classifier = Linear(made.shape[1], len(classes)).to(made)
        _initialise(classifier)
        adam = torch.optim.Adam(classifier.parameters(), lr=1e-3, betas=BETAS, fused=True)
        size = self.options.classifier_batch_size
        for _ in range(self.options.classifier_epochs):
            for rows in torch.split(torch.randperm(real + len(made), device=made.device), size):
                # Real clips are read batch by batch: together they may be larger than memory.
                clips, others = data.clips(rows[rows < real]), rows[rows >= real] - real
                x = torch.cat([self.joined(clips.audio, clips.visual), made[others]])
                y = torch.cat([column[clips.labels], of_made[others]])
                _descend(functional.cross_entropy(classifier(x), y), adam)
        return classifier.requires_grad_(False)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
        nn.init.zeros_(module.bias)


def _descend(loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()


METHOD = FVAEGAN
