"""One input vector a clip, for methods that know only one modality."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from avzsl.methods.base import Dims


def width(dims: Dims, which: str) -> int:
    """Return the number of columns that `join` gives."""
    return (dims.visual if which != "audio" else 0) + (dims.audio if which != "visual" else 0)


def join(audio: Tensor, visual: Tensor, which: str, unit: bool = False) -> Tensor:
    """Return the features (N, width) of the modalities `which`: visual before audio, as the released code has them.

    With `unit`, every row is divided by its Euclidean norm, after joining.
    """
    parts = [part for name, part in (("visual", visual), ("audio", audio)) if which in ("both", name)]
    joined = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
    return functional.normalize(joined, dim=1) if unit else joined
