"""Checkpoints of networks: tensors and plain containers, read without executing anything; and seeded random ones."""

from __future__ import annotations

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

from avzsl.contracts.errors import DataError
from avzsl.contracts.sizes import bomb_in_zip
from avzsl.pretrained.torchscript import is_torchscript

ADVICE = "fetch it again or correct the path of the weights"


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
            state[name] = torch.from_numpy(np.asarray(values, dtype=np.float32))
    return state


def read_checkpoint(
    path: Path, template: Mapping[str, Tensor], rename: Callable[[str], str] = str
) -> dict[str, Tensor]:
    """Read a checkpoint of a released layout: tensors that `rename` gives the names of `template`, `module.` left out.

    They stand in the file itself or under `model` or `state_dict`; `.safetensors` is read as such. Only tensors and plain
    containers are ever built from the file; nothing in it is executed. Other tensors (the ten clustering heads of SeLaVi)
    are ignored, and batch norms may lack the number of their batches, as old files do. Raises DataError for a file that is
    not a checkpoint, lacks a tensor, or holds one of another shape: the released loaders go on silently with random numbers
    then.
    """
    return fit_state(path, {rename(name): value for name, value in read_tensors(path).items()}, template)


def read_tensors(path: Path, advice: str = ADVICE) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint by name, `module.` left out; raises DataError, with `advice`, for a file that is none."""
    path = Path(path)
    content = read_content(path, advice)
    model = content.get("model", content.get("state_dict", content)) if isinstance(content, dict) else None
    if not isinstance(model, dict):
        raise DataError(path, f"holds no state dict under 'model'; {advice}")
    return {
        str(name).replace("module.", ""): plain(value, str(name), path)
        for name, value in model.items()
        if isinstance(value, Tensor)
    }


def plain(tensor: Tensor, name: str, path: Path) -> Tensor:
    """Return a tensor whose numbers lie in its file one by one; raises DataError for any other.

    Sparse, quantised, nested and meta tensors, and those that repeat their numbers, may announce any size; complex ones
    would lose a half without a word.
    """
    kind = (
        f"a {str(tensor.layout).removeprefix('torch.')} one" if tensor.layout != torch.strided
        else "a nested one" if tensor.is_nested
        else "quantised" if tensor.is_quantized
        else f"on the device {tensor.device}" if tensor.device.type != "cpu"
        else "complex" if tensor.is_complex()
        else "larger than what it holds" if not _held(tensor)
        else None
    )  # fmt: skip
    if kind is not None:
        raise DataError(path, f"tensor {name} is {kind}; networks are read from tensors of plain numbers")
    return tensor


def _held(tensor: Tensor) -> bool:
    return tensor.numel() * tensor.element_size() <= max(1 << 20, tensor.untyped_storage().nbytes())


def fit_state(
    path: Path, tensors: Mapping[str, Tensor], template: Mapping[str, Tensor], advice: str = ADVICE
) -> dict[str, Tensor]:
    """Return those of a checkpoint's tensors that `template` names, in its types.

    Raises DataError, naming `path` and with `advice`, where one is missing, of another shape, or not finite.
    """
    found = {
        name: torch.zeros(t.shape, dtype=t.dtype)
        for name, t in template.items()
        if name.endswith("num_batches_tracked")
    } | dict(tensors)
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
        if _is_safetensors(path):
            return load_file(path)
        if is_torchscript(path):
            raise DataError(
                path, "is an archive of code; keep its tensors with `avzsl weights convert FILE`, and name the new file"
            )
        bomb = bomb_in_zip(path)
        if bomb is not None:
            raise DataError(path, f"unpacks to more than its bytes can hold ({bomb}); this is refused")
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


def _is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors do, with the length of a JSON object: a download may have any name."""
    with path.open("rb") as stream:
        start = stream.read(9)
    return path.suffix == ".safetensors" or (start[8:] == b"{" and int.from_bytes(start[:8], "little") < 1 << 27)


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
