"""Methods in float64: losses and parameters of a few steps, distances and embeddings afterwards, without dropout."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import yaml

from avzsl.config.load import load_project
from avzsl.methods import Batch, Clips, Dims, Method, Steps, build
from tests.goldens.digest import digest

DIMS = Dims(14, 12, 10)
CLASSES, CLIPS, EPOCHS = 6, 40, 3
# What is trained by gradient steps; both presets where a method has the released one.
TRAINED = (
    "avca", "avca-audio", "avca-minus-lct", "avca-minus-lr", "avca-minus-lrec", "avca-minus-lt", "avca-minus-lw",
    "avca-no-xatt", "avca-output-min", "avca-output-sum", "cjme", "cjme-both", "cjme-minus-lav", "cjme-no-attention",
    "cjme-only-lta", "avgzslnet", "apn", "ale", "sje", "devise", "fvaegan", "audio-only", "visual-only", "concat",
    "tcaf", "clipclap",
)  # fmt: skip
SOLVED = ("ridge", "prototype", "eszsl", "sae", "conse", "gcca", "pretrained")
RELEASED = ("avca", "cjme", "apn", "ale", "sje", "devise", "avgzslnet", "fvaegan", "tcaf", "clipclap")


class Set:
    """Training clips of known classes, and batches of them by a seed; with `steps` a clip is sequences, not averages."""

    def __init__(self, steps: bool = False) -> None:
        self.steps = steps
        rng = np.random.default_rng(11)
        classes = rng.standard_normal((CLASSES, DIMS.text))
        self.classes = _tensor(classes / np.linalg.norm(classes, axis=1, keepdims=True))
        # Every class is there, in unequal numbers.
        self.labels = torch.from_numpy(
            np.sort(np.concatenate([np.arange(CLASSES), rng.integers(0, CLASSES, CLIPS - CLASSES)]))
        )
        maps = [rng.standard_normal((DIMS.text, n)) for n in (DIMS.audio, DIMS.visual)]
        w = self.classes.numpy()[self.labels.numpy()]
        parts = [np.maximum(w @ m + 0.4 * rng.standard_normal((CLIPS, m.shape[1])), 0) for m in maps]
        self.audio, self.visual = map(_tensor, parts)
        self.rng = np.random.default_rng(12)

    def clips(self, at: Any) -> Clips:
        at = torch.as_tensor(np.asarray(at))
        audio, visual = self.inputs(at)
        return Clips(audio, visual, self.classes[self.labels[at]], self.labels[at])

    def inputs(self, at: torch.Tensor) -> tuple[Any, Any]:
        """Return what a method sees of the clips at positions `at`."""
        if not self.steps:
            return self.audio[at], self.visual[at]
        return _steps(self.audio, at, 3, 0.96), _steps(self.visual, at, 5, 0.64)

    def __len__(self) -> int:
        return CLIPS

    def blocks(self) -> Iterator[Clips]:
        for start in range(0, CLIPS, 16):
            yield self.clips(np.arange(start, min(start + 16, CLIPS)))

    def batches(self, count: int, size: int) -> Iterator[Batch]:
        for _ in range(count):
            positive = self.rng.integers(0, CLIPS, size)
            others = [np.flatnonzero(self.labels.numpy() != self.labels[p].item()) for p in positive]
            negative = [int(self.rng.choice(other)) for other in others]
            yield Batch(self.clips(positive), self.clips(negative), self.classes)


def _steps(averages: torch.Tensor, at: torch.Tensor, longest: int, seconds: float) -> Steps:
    """Return one to `longest` steps of each clip at `at`, its average bent a little more at each."""
    lengths = at % longest + 1
    place = torch.arange(longest, dtype=torch.float64)
    real = (place < lengths[:, None])[..., None]
    columns = torch.arange(averages.shape[1], dtype=torch.float64)
    values = averages[at][:, None] + 0.3 * torch.sin(place[:, None] * (columns + 1))
    return Steps(values * real, lengths, torch.stack([place, place + 1], -1) * seconds * real)


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array, np.float64))


def _built(method: Method) -> dict[str, Any]:
    """Return what a method asks of the protocol, its rates of dropout and the norms of its parameters as they begin."""
    return {
        "asks": [method.inputs, method.negatives, method.settings, method.reported],
        "dropout": [m.p for m in method.modules() if isinstance(getattr(m, "p", None), float)],
        "norms": [float(f"{float(p.detach().norm()):.4g}") for p in method.parameters()],
    }


def _weights(method: Method) -> None:
    """Give every parameter a value of its own that no initialiser of torch decides, and switch dropout off."""
    for number, (name, parameter) in enumerate(method.named_parameters()):
        rng = np.random.default_rng([13, number])
        if parameter.dim() == 1:
            value = 0.1 * rng.standard_normal(parameter.shape) + (0.0 if name.endswith("bias") else 1.0)
        else:
            value = rng.standard_normal(parameter.shape) * (2 / np.prod(parameter.shape[1:])) ** 0.5
        parameter.data.copy_(_tensor(value))
    for name, buffer in method.named_buffers():
        if name.endswith("frequencies"):
            buffer.copy_(_tensor(np.random.default_rng(15).standard_normal(buffer.shape)))
    for module in method.modules():
        if isinstance(getattr(module, "p", None), float):
            module.p = 0.0


def one(project: Any, name: str, preset: str, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the numbers of one method under one preset, with `changes` of its options."""
    benchmark = dataclasses.replace(next(iter(project.benchmarks.values())), preset=preset)
    chosen = project.method(name, benchmark)
    torch.manual_seed(0)
    method = build(chosen.config.module, DIMS, {**chosen.options, **(changes or {})}).double()
    built = _built(method)
    _weights(method)
    data = Set(method.inputs == "sequences")
    training = chosen.training.under(preset).model_copy(
        update={"batches_per_epoch": 2, "batch_size": 9, "precision": "float64", "epochs": EPOCHS}
    )
    optimisers = method.optimisers(training)
    losses = []
    settings = method.settings or EPOCHS
    for setting in range(1, settings + 1) if method.settings is None else sorted({1, (settings + 1) // 2, settings}):
        method.setting = setting
        losses.append(float(method.epoch(data, optimisers, training)))
    method.eval()
    rng = np.random.default_rng(14)
    new = np.concatenate([data.classes.numpy(), rng.standard_normal((3, DIMS.text)) / DIMS.text**0.5])
    new[-3:, 0] = new[0, 0]  # one coordinate in common makes no class the same as another
    inputs = *data.inputs(torch.arange(0, CLIPS, 2)), _tensor(new)
    with torch.no_grad():
        distances, points = method.distances(*inputs), method.embed(*inputs)
        fewer = method.distances(*inputs[:2], inputs[2][1:-1])
    state = [v for v in method.state_dict().values() if v.is_floating_point()]
    return {
        "built": built,
        "losses": losses,
        "state": digest([float(v.norm() + v.sum()) for v in state]),
        "distances": {key: digest(value) for key, value in sorted(distances.items())},
        "among fewer classes": {key: digest(value) for key, value in sorted(fewer.items())},
        "embeddings": {key: digest(value) for key, value in sorted(points.items())},
    }


def cases() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return the method, the preset and the changed options of every case, by its name."""
    plain = [(n, "corrected") for n in (*TRAINED, *SOLVED)] + [(n, "as_released") for n in RELEASED]
    found: dict[str, tuple[str, str, dict[str, Any]]] = {
        f"{name} {preset}": (name, preset, {}) for name, preset in plain
    }
    # No configuration that is shipped takes this option.
    return {**found, "avca norm: post": ("avca", "corrected", {"norm": "post"})}


def project_of(folder: Path) -> Any:
    """Return a project with all of the methods."""
    values = {"benchmarks": {"toy": {"dataset": "demo"}}, "methods": [*TRAINED, *SOLVED]}
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    return load_project(folder / "config.yaml")


@cache
def _kept() -> tuple[TemporaryDirectory[str], Any]:
    place = TemporaryDirectory()
    return place, project_of(Path(place.name))


def values(only: str | None = None) -> dict[str, Any]:
    """Return the numbers of all cases, or of one, by name."""
    torch.set_num_threads(1)
    _, project = _kept()
    return {name: one(project, *case) for name, case in cases().items() if only in (None, name)}
