"""Networks' weights: a published checkpoint, or seeded random numbers; and the name by which outputs know them."""

from __future__ import annotations

import logging
import math
import pickle
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from avzsl.config.features import WeightsConfig
from avzsl.contracts.errors import ConfigError, DataError
from avzsl.contracts.hashing import sha256_file
from extractors.download import download

logger = logging.getLogger(__name__)


def load_weights(
    weights: WeightsConfig, template: Mapping[str, Tensor], cache: Path, rename: Callable[[str], str] = str
) -> tuple[dict[str, Tensor], str, bool]:
    """Return the state dict for `template`'s names and shapes, its identity, and whether it is random.

    `rename` gives a tensor of the file its name in `template`.
    The identity is `random:SEED` or `sha256:...` of the checkpoint file. A checkpoint given by URL is fetched into
    `cache` once. Raises ConfigError if the configuration names no weights or more than one kind, DataError if a file is
    missing or wrong.
    """
    if weights.random_seed is not None:
        if weights.path or weights.url:
            raise ConfigError("features: weights: give either random_seed or path/url, not both")
        return random_state(template, weights.random_seed), f"random:{weights.random_seed}", True
    if weights.path:
        path = Path(weights.path).expanduser()
        if not path.is_file():
            raise DataError(
                path, "the weights file of features.weights.path does not exist; correct the path or give a url"
            )
        digest = sha256_file(path)
        if weights.sha256 and digest != weights.sha256.lower():
            raise DataError(path, f"has sha256 {digest}, but features.weights.sha256 says {weights.sha256}")
    elif weights.url:
        path, digest = download(weights.url, cache, weights.sha256)
    else:
        raise ConfigError("features: weights: give one of random_seed, path or url")
    return read_checkpoint(path, template, rename), f"sha256:{digest}", False


def random_state(template: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Return seeded random weights: He initialisation, BatchNorm as new.

    Every tensor has its own generator, seeded with (seed, CRC-32 of its name), so that neither their order nor the
    library that draws matters. Convolutions: normal with variance 2 / fan-in, which keeps the variance of activations
    from layer to layer.
    """
    state: dict[str, Tensor] = {}
    for name, tensor in template.items():
        if name.endswith(("running_mean", "bias", "num_batches_tracked")):
            state[name] = torch.zeros(tensor.shape, dtype=tensor.dtype)
        elif tensor.ndim == 1:
            state[name] = torch.ones(tensor.shape)
        else:
            generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
            values = generator.standard_normal(tuple(tensor.shape)) * math.sqrt(2 / math.prod(tensor.shape[1:]))
            state[name] = torch.from_numpy(values.astype(np.float32))
    return state


def read_checkpoint(
    path: Path, template: Mapping[str, Tensor], rename: Callable[[str], str] = str
) -> dict[str, Tensor]:
    """Read a checkpoint of a published layout: tensors that `rename` gives the names of `template`, `module.` left out.

    They stand in the file itself or under `model` or `state_dict`; `.safetensors` is read as such. Only tensors and plain
    containers are ever built from the file; nothing in it is executed. Other tensors (the ten clustering heads of SeLaVi)
    are ignored, and batch norms may lack the number of their batches, as old files do. Raises DataError for a file that is
    not a checkpoint, lacks a tensor, or holds one of another shape: the released loaders go on silently with random numbers
    then.
    """
    path = Path(path)
    advice = "fetch it again or correct features.weights"
    content = read_content(path, advice)
    model = content.get("model", content.get("state_dict", content)) if isinstance(content, dict) else None
    if not isinstance(model, dict):
        raise DataError(path, f"holds no state dict under 'model'; {advice}")
    tensors = {str(name): value for name, value in model.items() if isinstance(value, Tensor)}
    found = {rename(name.replace("module.", "")): value for name, value in tensors.items()}
    found = {
        name: torch.zeros(t.shape, dtype=t.dtype)
        for name, t in template.items()
        if name.endswith("num_batches_tracked")
    } | found
    missing = [name for name in template if name not in found]
    if missing:
        raise DataError(
            path,
            f"lacks {len(missing)} of the {len(template)} tensors of the network, the first is {missing[0]}; {advice}",
        )
    for name, tensor in template.items():
        if found[name].shape != tensor.shape:
            raise DataError(
                path, f"tensor {name} has shape {tuple(found[name].shape)}, expected {tuple(tensor.shape)}; {advice}"
            )
    state = {name: found[name].detach().to(dtype=tensor.dtype) for name, tensor in template.items()}
    broken = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise DataError(path, f"tensor {broken[0]} holds NaN or infinity; {advice}")
    return state


def read_content(path: Path, advice: str) -> Any:
    """Return what a file of tensors and plain containers holds, without executing anything of it; raises DataError."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(_plain_numpy()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DataError(
            path,
            f"is not a checkpoint of tensors alone ({_first_sentence(error)}); nothing of it was executed; {advice}",
        ) from error
    except (
        SafetensorError,
        OSError,
        RuntimeError,
        ValueError,
        EOFError,
        KeyError,
        AttributeError,
        TypeError,
        IndexError,
    ) as error:
        raise DataError(path, f"is not a whole checkpoint ({_first_sentence(error)}); {advice}") from error


def _plain_numpy() -> list[Any]:
    """Return what a pickle needs to hold NumPy scalars and arrays, which training logs in checkpoints are made of."""
    reconstruct = np.zeros(1).__reduce__()[0]
    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}
    return [
        reconstruct, scalar, np.ndarray, np.dtype, *kinds,
        (reconstruct, "numpy.core.multiarray._reconstruct"), (scalar, "numpy.core.multiarray.scalar"),
    ]  # fmt: skip


def _first_sentence(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].split(". ")[0]
