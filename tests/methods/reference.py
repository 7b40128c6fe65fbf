"""Reference numbers and what tests of several methods make of them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from avzsl.config.load import SHIPPED
from avzsl.config.methods import MethodConfig, Overrides
from avzsl.config.plugins import METHOD, options_model
from avzsl.methods import Dims, Method, build

TOLERANCE = {"rtol": 1e-8, "atol": 1e-8}


def golden(shared: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(shared / "golden" / f"{name}.npz") as stream:
        return dict(stream)


def renamed(name: str, rules: Sequence[tuple[str, Any]]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def as_released(name: str, dims: Dims, **changes: object) -> Method:
    """Return a method under `as_released`, in float64 and without dropout."""
    return make(name, dims, "as_released", **changes)


def make(name: str, dims: Dims, preset: str, **changes: object) -> Method:
    """Return a method under a preset, in float64 and without dropout."""
    config = MethodConfig.model_validate(yaml.safe_load((SHIPPED / "methods" / f"{name}.yaml").read_text()))
    options = {**config.options, **config.presets.get(preset, Overrides()).options, **changes}
    known = options_model(METHOD, config.module).model_fields
    probabilities = {key for key in known if key.endswith("dropout")} - {"attention_dropout"}
    return build(config.module, dims, options | dict.fromkeys(probabilities, 0.0)).double()  # type: ignore[arg-type]


def check_digests(
    state: dict[str, torch.Tensor], x: dict[str, np.ndarray], prefix: str, ours: Callable[[str], str], skip: str = "-"
) -> int:
    """Compare digests (sample, sum, norm of a tensor) of all tensors under `prefix` and return how many there were."""
    names = {key[len(prefix) :].rsplit("/", 1)[0] for key in x if key.startswith(prefix)}
    names = {name for name in names if not name.endswith(skip)}
    for name in names:
        tensor, kept = state[ours(name)].detach().double().flatten().numpy(), f"{prefix}{name}"
        # Every (n-1)/63-th value. The places were computed in float32: near a whole number processors differ by one.
        at = np.arange(min(64, len(tensor))) * (len(tensor) - 1) / max(1, min(64, len(tensor)) - 1)
        doubt = 1e-7 * len(tensor)
        places = np.clip(np.floor(np.stack([at - doubt, at, at + doubt])), 0, len(tensor) - 1).astype(int)
        near = np.isclose(tensor[places], x[f"{kept}/sample"], **TOLERANCE)
        assert near.any(0).all(), kept
        np.testing.assert_allclose(tensor.sum(), x[f"{kept}/sum"], **TOLERANCE, err_msg=kept)
        np.testing.assert_allclose(np.linalg.norm(tensor), x[f"{kept}/norm"], **TOLERANCE, err_msg=kept)
    return len(names)


def formula(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights by formula, as the reference's were made."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    last = name.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if last == "running_var":
        value = rng.uniform(0.5, 1.5, shape)
    elif last in {"running_mean", "bias"}:
        value = 0.1 * rng.standard_normal(shape)
    elif len(shape) == 1:
        value = rng.uniform(0.5, 1.5, shape)
    else:
        value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return value.astype(np.float32)
