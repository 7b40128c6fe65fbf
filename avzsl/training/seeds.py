"""All seeds of a method in one pass: one model whose parameters and statistics have a leading seed axis.

A step of AVCA is hundreds of small kernels, which a GPU begins one after the other whether they work on one seed or on eight.
`torch.func` runs the method's own loss for all seeds at once; each seed keeps its batches, its batch norms, its dropout masks, its
learning rate and its Adam, and is the single run up to rounding. Steps wait for nothing, so that a GPU can record one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from avzsl.contracts.errors import ConfigError
from avzsl.methods import Batch, Clips, Method
from avzsl.methods.blocks import dropping
from avzsl.runtime.accelerator import Accelerator

BETAS, EPS = (0.9, 0.999), 1e-8


class Seeds:
    """Several models of one method in training, each with a seed's own parameters. For methods of plain gradient steps."""

    def __init__(self, methods: Sequence[Method], lr: float, card: Accelerator, weight_decay: float = 0.0) -> None:
        self._card, self._decay = card, weight_decay
        if getattr(methods[0].options, "statistics_passes", False):
            raise ConfigError(
                "seeds in one pass: the passes of `statistics_passes` are not; train one seed after the other"
            )
        losses = [_Loss(method).train() for method in methods]
        self._base = losses[0]
        parameters, self.buffers = stack_module_state(losses)
        moved = {id(parameter) for parameter in methods[0].trained()}
        trained = {name for name, value in self._base.named_parameters() if id(value) in moved}
        self.parameters = {name: value.detach().clone() for name, value in parameters.items()}
        self._trained = [name for name in self.parameters if name in trained]
        place = self.parameters[self._trained[0]]
        # One for each seed: schedules differ. On the device, as everything that a recorded step reads.
        self.lr = torch.full((len(methods),), lr, device=place.device, dtype=place.dtype)
        self._steps = torch.zeros((), device=place.device, dtype=place.dtype)
        self._first = {name: torch.zeros_like(self.parameters[name]) for name in self._trained}
        self._second = {name: torch.zeros_like(self.parameters[name]) for name in self._trained}

    def step(self, batch: Batch, masks: Sequence[Tensor] | None = None) -> Tensor:
        """Take one step of every seed and return the losses (seeds,).

        Every tensor of `batch` has a leading seed axis, and so have `masks`, one for each call of dropout in order, already
        divided by the share that is kept; without them dropout draws a mask of its own for each seed.
        """
        parts = [[getattr(side, f.name) for f in fields(side)] for side in (batch.positive, batch.negative)]
        held = {name: value for name, value in self.parameters.items() if name not in self._first}

        def loss(trained: dict[str, Tensor], fixed: dict[str, Tensor], buffers: dict[str, Tensor], sides: Any, classes: Tensor, drawn: Any) -> Tensor:  # fmt: skip
            given = Batch(Clips(*sides[0]), Clips(*sides[1]), classes)
            with dropping(drawn):
                return functional_call(self._base, {**trained, **fixed, **buffers}, (given,), tie_weights=False)

        trained = {name: self.parameters[name] for name in self._trained}
        gradients, losses = vmap(
            grad_and_value(loss), in_dims=(0, 0, 0, 0, 0, 0 if masks is not None else None), randomness="different"
        )(trained, held, self.buffers, parts, batch.classes, list(masks) if masks is not None else None)
        self._adam(gradients)
        return losses.detach()

    def recorded(
        self, batch: Callable[[], Batch], masks: Callable[[], Sequence[Tensor] | None] = lambda: None
    ) -> Callable[[], Tensor]:
        """Return a function that takes a step on what `batch` gives, made on the device of tensors that are always the same.

        On a GPU it is one launch. Recording leaves the models as they were.
        """
        state = [*self.parameters.values(), *self.buffers.values(), *self._first.values(), *self._second.values(), self._steps]  # fmt: skip
        before = [tensor.clone() for tensor in state]
        replay = self._card.record(lambda: self.step(batch(), masks()))
        for tensor, value in zip(state, before, strict=True):
            tensor.copy_(value)
        return replay

    def _adam(self, gradients: dict[str, Tensor]) -> None:
        """Adam (Kingma and Ba, ICLR 2015, algorithm 1) in place, a learning rate a seed; `torch.optim` has one for all."""
        with torch.no_grad():
            self._steps += 1
            correct_first, correct_second = 1 - BETAS[0] ** self._steps, 1 - BETAS[1] ** self._steps
            for name in self._trained:
                value, first, second = self.parameters[name], self._first[name], self._second[name]
                gradient = gradients[name] + self._decay * value if self._decay else gradients[name]
                first.lerp_(gradient, 1 - BETAS[0])
                second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
                size = (self.lr / correct_first).view(-1, *[1] * (value.dim() - 1))
                value.sub_(size * first / (second.sqrt() / correct_second.sqrt() + EPS))

    def into(self, seed: int, method: Method) -> None:
        """Copy a seed's parameters and statistics into a method of its own."""
        state = {**self.parameters, **self.buffers}
        method.load_state_dict({name.removeprefix("method."): value[seed] for name, value in state.items()})

    def optimiser_into(self, seed: int, method: Method, optimiser: torch.optim.Optimizer) -> None:
        """Copy a seed's averages of gradients into the Adam of a method of its own."""
        for name, parameter in method.named_parameters():
            if f"method.{name}" in self._first:
                first, second = self._first[f"method.{name}"][seed], self._second[f"method.{name}"][seed]
                optimiser.state[parameter] = {
                    "step": self._steps.float().clone(), "exp_avg": first.clone(), "exp_avg_sq": second.clone(),
                }  # fmt: skip

    def optimiser_from(self, seed: int, method: Method, optimiser: torch.optim.Optimizer) -> None:
        """Take a seed's averages of gradients from the Adam of a method, where it has taken steps; all seeds as many."""
        for name, parameter in method.named_parameters():
            state = optimiser.state.get(parameter)
            if state and f"method.{name}" in self._first:
                self._first[f"method.{name}"][seed].copy_(state["exp_avg"])
                self._second[f"method.{name}"][seed].copy_(state["exp_avg_sq"])
                self._steps.fill_(float(state["step"]))


class _Loss(nn.Module):
    """The loss of a method as a module, for `functional_call`."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: Batch) -> Tensor:
        return self.method.loss(batch)


def stacked_batch(batches: Sequence[Batch]) -> Batch:
    """Return the batches of several seeds as one with a leading seed axis."""

    def side(clips: list[Clips]) -> Clips:
        return Clips(*(torch.stack([getattr(one, f.name) for one in clips]) for f in fields(Clips)))

    positive, negative = side([b.positive for b in batches]), side([b.negative for b in batches])
    return Batch(positive, negative, torch.stack([b.classes for b in batches]))


def synthetic_batch(size: int, device: torch.device, seed: int, classes: int = 30) -> Batch:
    """Return a batch of `size` random clips, 512 + 512 features and 300-d class embeddings: for measuring and tests."""
    generator = torch.Generator().manual_seed(seed)
    text = torch.randn(classes, 300, generator=generator).to(device)

    def side() -> Clips:
        audio, visual = torch.randn(2, size, 512, generator=generator).to(device)
        labels = torch.randint(classes, (size,), generator=generator).to(device)
        return Clips(audio, visual, text[labels], labels)

    return Batch(side(), side(), text)
