"""Methods solved by linear algebra instead of gradient steps.

In place of epochs such a method has settings: all combinations of the values that its searched options list. Stage 1
solves it once for every setting and keeps the one with the best validation HM, stage 2 solves that setting again on
all training clips. So its hyper-parameters are chosen as the epoch of a trained method is, on validation clips alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avzsl.config.methods import TrainingConfig
from avzsl.methods.base import Clips, Dims, Method, TrainingSet
from avzsl.methods.inputs import join
from avzsl.methods.options import Scaled

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """What is to be solved, in float64: scaled features, labels as rows of `classes`, class embeddings (C, k_w).

    `x` (N, d) are the features of the option `modalities`, `audio` and `visual` (N, ...) those of one modality.
    """

    x: Array
    audio: Array
    visual: Array
    labels: NDArray[np.int64]
    classes: Array


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
            problem = self._problem(data.everything(), data.classes)
            self._prepared = problem, self.prepare(problem)
        problem, prepared = self._prepared
        setting = dict(zip(self.searched, self.grid[self.setting - 1], strict=True))
        self.chosen = dict(setting)
        for name, array in self.solve(problem, prepared, **setting).items():
            self.register_buffer(name, torch.from_numpy(np.asarray(array, np.float64)).to(data.classes))
        return torch.zeros((), device=data.classes.device)

    def _problem(self, clips: Clips, classes: Tensor) -> Problem:
        for name, part in (("audio", clips.audio), ("visual", clips.visual)):
            if self.scaling == "standard":
                scale, mean = torch.std_mean(part.double(), dim=0, correction=0)
                # A feature that never varies carries nothing; it stays finite.
                getattr(self, f"{name}_scale").copy_(torch.where(scale > 0, scale, 1.0))
                getattr(self, f"{name}_mean").copy_(mean)
        audio, visual = self.scaled(clips.audio, clips.visual)
        x = join(audio, visual, self.which).double().cpu().numpy()
        # Of joined features these are columns, no second copy.
        columns = {"both": (x[:, visual.shape[1] :], x[:, : visual.shape[1]])}
        a, v = columns.get(self.which) or (part.double().cpu().numpy() for part in (audio, visual))
        return Problem(x, a, v, clips.labels.cpu().numpy(), classes.double().cpu().numpy())

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


def cosine_distances(points: Tensor, classes: Tensor) -> Tensor:
    """Return 1 - cosine similarity (N, C) of `points` (N, D) and `classes` (C, D)."""
    unit = torch.nn.functional.normalize
    return 1 - unit(points, dim=1) @ unit(classes, dim=1).T
