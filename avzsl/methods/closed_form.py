"""Methods solved by linear algebra instead of gradient steps.

In place of epochs such a method has settings: all combinations of the values that its searched options list. Stage 1
solves it once for every setting and keeps the one with the best validation HM, stage 2 solves that setting again on
all training clips. So its hyper-parameters are chosen as the epoch of a trained method is, on validation clips alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avzsl.config.methods import TrainingConfig
from avzsl.methods.base import Dims, Method, TrainingSet
from avzsl.methods.inputs import join, width
from avzsl.methods.options import Scaled

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Problem:
    """What is to be solved, in float64: sums over the training clips, whose number decides no size.

    X (N, d) are the clips' scaled features of the option `modalities`, joined with the picture first, T (N, k_w) the
    embeddings of their classes. `gram` (d, d) is X^T X, `sums` (C, d) the rows of X summed by class, `counts` (C,) the
    clips and `classes` (C, k_w) the embeddings of every class. `blocks()` gives X and the clips' rows of `classes` some
    at a time, for a method to which sums say too little.
    """

    gram: Array
    sums: Array
    counts: Labels
    classes: Array
    blocks: Callable[[], Iterator[tuple[Array, Labels]]]

    @cached_property
    def mean(self) -> Array:
        """Mean of the rows of T, (k_w,)."""
        return self.counts @ self.classes / self.counts.sum()

    @cached_property
    def cross(self) -> Array:
        """X^T T, (d, k_w)."""
        return self.sums.T @ self.classes

    @cached_property
    def centred_cross(self) -> Array:
        """X^T (T - mean), (d, k_w)."""
        return self.sums.T @ (self.classes - self.mean)


class ClosedForm(Method):
    """Base of the methods that `solve`; a subclass names the options it searches and gives `distances`.

    Its options are `avzsl.methods.options.Scaled` and those to search, and `Modalities` where one vector a clip is taken.
    """

    searched: tuple[str, ...] = ()

    def __init__(self, dims: Dims, options: Scaled) -> None:
        super().__init__(dims, options)
        self.which = str(getattr(options, "modalities", "both"))
        self.scaling = options.scaling
        self.grid = list(itertools.product(*(listed(getattr(options, key)) for key in self.searched)))
        self.settings = len(self.grid)
        self._prepared: tuple[Problem, Any] | None = None
        for name, size in (("audio", dims.audio), ("visual", dims.visual)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))

    def prepare(self, problem: Problem) -> Any:
        """Return what all settings share, such as a decomposition; it is computed once a stage."""
        return None

    def solve(self, problem: Problem, prepared: Any, **setting: float) -> dict[str, Array]:
        """Return the solution's arrays by name, which `distances` then finds as buffers of that name."""
        raise NotImplementedError

    def epoch(
        self, data: TrainingSet, optimisers: dict[str, torch.optim.Optimizer], training: TrainingConfig
    ) -> Tensor:
        """Solve the setting whose turn it is; there is no training loss, 0 stands for it."""
        if self._prepared is None:
            problem = self._problem(data)
            self._prepared = problem, self.prepare(problem)
        problem, prepared = self._prepared
        setting = dict(zip(self.searched, self.grid[self.setting - 1], strict=True))
        self.chosen = dict(setting)
        for name, array in self.solve(problem, prepared, **setting).items():
            self.register_buffer(name, torch.from_numpy(np.asarray(array, np.float64)).to(data.classes))
        return torch.zeros((), device=data.classes.device)

    def _problem(self, data: TrainingSet) -> Problem:
        if self.scaling == "standard":
            self._standardise(data)

        def blocks() -> Iterator[tuple[Array, Labels]]:
            for clips in data.blocks():
                yield self.features(clips.audio, clips.visual).double().cpu().numpy(), clips.labels.cpu().numpy()

        known = len(data.classes)
        wide = width(self.dims, self.which)
        gram, sums, counts = np.zeros((wide, wide)), np.zeros((known, wide)), np.zeros(known, np.int64)
        for x, labels in blocks():
            gram += x.T @ x
            sums += sums_by_class(x, labels, known)
            counts += np.bincount(labels, minlength=known)
        return Problem(gram, sums, counts, data.classes.double().cpu().numpy(), blocks)

    def _standardise(self, data: TrainingSet) -> None:
        """Take mean and standard deviation of every feature over the training clips."""
        number, mean, squares = 0, torch.zeros(()), torch.zeros(())
        for clips in data.blocks():
            # Blocks' own sums of squares about their own means (Chan, Golub and LeVeque, 1979): nothing cancels.
            part = torch.cat([clips.audio, clips.visual], dim=1).double()
            more, centre = len(part), part.mean(0)
            shift = centre - mean.to(centre)
            squares = squares.to(part) + (part - centre).square().sum(0) + shift**2 * (number * more / (number + more))
            mean, number = mean.to(part) + shift * (more / (number + more)), number + more
        scale = (squares / number).sqrt()
        # A feature that never varies carries nothing; it stays finite.
        scale = torch.where(scale > 0, scale, 1.0)
        for kind, values in (("mean", mean), ("scale", scale)):
            getattr(self, f"audio_{kind}").copy_(values[: self.dims.audio])
            getattr(self, f"visual_{kind}").copy_(values[self.dims.audio :])

    def scaled(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """Return both modalities' features (N, ...) as `scaling` says, with the training clips' statistics."""
        if self.scaling == "unit":
            return torch.nn.functional.normalize(audio, dim=1), torch.nn.functional.normalize(visual, dim=1)
        parts = (
            (part - getattr(self, f"{n}_mean")) / getattr(self, f"{n}_scale")
            for n, part in (("audio", audio), ("visual", visual))
        )
        a, v = parts
        return a, v

    def features(self, audio: Tensor, visual: Tensor) -> Tensor:
        """Return the scaled features (N, d) of the modalities in use."""
        return join(*self.scaled(audio, visual), self.which)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take a solution as it is: its shapes depend on what was solved, so nothing can be checked against."""
        for name, value in state_dict.items():
            self.register_buffer(name, value)
        return torch.nn.modules.module._IncompatibleKeys([], [])


def listed(values: float | tuple[float, ...]) -> tuple[float, ...]:
    """Return the values of an option to search, of which one may stand alone."""
    return values if isinstance(values, tuple) else (values,)


def sums_by_class(x: Array, labels: Labels, classes: int) -> Array:
    """Return the rows of `x` (N, d) summed by label, (classes, d); a class without a row is 0."""
    order = np.argsort(labels, kind="stable")
    present, first = np.unique(labels[order], return_index=True)
    sums = np.zeros((classes, x.shape[1]))
    sums[present] = np.add.reduceat(x[order], first, axis=0)
    return sums


def cosine_distances(points: Tensor, classes: Tensor) -> Tensor:
    """Return 1 - cosine similarity (N, C) of `points` (N, D) and `classes` (C, D)."""
    unit = torch.nn.functional.normalize
    return 1 - unit(points, dim=1) @ unit(classes, dim=1).T
