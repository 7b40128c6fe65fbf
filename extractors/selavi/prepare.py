"""Raw windows -> what SeLaVi's networks take, on whatever device the windows are.

The pixels are those of `picture.resize_and_crop` bit for bit, on a GPU too: the same float32 operations, one kernel each.
Spectrograms are computed in float64 as `sound.log_filterbank` does; they differ from it in the last bit of float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from extractors.base import Window
from extractors.selavi import picture, sound
from extractors.selavi.picture import SIZE

# Windows prepared at once: bounds the memory of what stands in between, 70 MB a window.
_AT_ONCE = 8


def prepare_pictures(windows: Sequence[Window], out: Tensor, *, released: bool) -> None:
    """Write the normalised frames of raw windows into `out` (windows, frames, 112, 112, 3), of any floating type."""
    for start in range(0, len(windows), _AT_ONCE):
        part = windows[start : start + _AT_ONCE]
        counts = [len(window.visual) for window in part]
        first = np.cumsum([0, *counts[:-1]])
        index = np.concatenate([w.more["index"].astype(np.int64) + at for w, at in zip(part, first, strict=True)])
        frames = normalised(torch.cat([_here(window.visual, out.device) for window in part]))
        if "weights" in part[0].more:
            frames = _blended(
                frames, torch.cat([_here(window.more["weights"], out.device) for window in part]), released
            )
        chosen = frames.index_select(0, torch.from_numpy(index).to(frames.device))
        out[start : start + len(part)].copy_(chosen.view(len(part), *out.shape[1:]))


def prepare_sounds(samples: Sequence[Tensor | np.ndarray], device: torch.device) -> Tensor:
    """Return the normalised log filterbanks of sounds of one length, int16 (n,) each: float32 (sounds, 1, 257, frames)."""
    signal = torch.stack([_here(one, device) for one in samples]).double()
    signal = torch.cat([signal[:, :1], signal[:, 1:] - sound.PREEMPHASIS * signal[:, :-1]], 1)
    length = signal.shape[1]
    frames = 1 if length <= sound.FRAME_LENGTH else 1 + -(-(length - sound.FRAME_LENGTH) // sound.FRAME_STEP)
    signal = pad(signal, (0, (frames - 1) * sound.FRAME_STEP + sound.FRAME_LENGTH - length))
    spectrum = torch.fft.rfft(signal.unfold(1, sound.FRAME_LENGTH, sound.FRAME_STEP), sound.FFT_LENGTH)
    energy = (spectrum.real.square() + spectrum.imag.square()) / sound.FFT_LENGTH @ _filters(signal.device)
    energy = torch.where(energy == 0, torch.finfo(torch.float64).eps, energy)
    return (energy.log().float().transpose(1, 2)[:, None] - sound.MEAN) / sound.DEVIATION


def normalised(frames: Tensor) -> Tensor:
    """Return uint8 frames as float32, in the steps of `picture.normalise`."""
    return frames.float().div_(255).sub_(float(picture.MEAN)).div_(float(picture.DEVIATION))


def _blended(frames: Tensor, weights: Tensor, released: bool) -> Tensor:
    """(k, 224, 224, 3) and the weights (k, 4, 112) of `picture.taps` -> (k, 112, 112, 3)."""
    upper, lower = weights[:, 0, :, None, None], weights[:, 1, :, None, None]
    near, far = weights[:, 2, None, :, None], weights[:, 3, None, :, None]
    top, bottom = frames[:, :SIZE], frames[:, SIZE:]
    if not released:
        across = [(near * rows[:, :, :SIZE]).add_(far * rows[:, :, SIZE:]) for rows in (top, bottom)]
        return (upper * across[0]).add_(lower * across[1])
    total = (upper * far) * top[:, :, SIZE:]
    for weight, part in (
        (upper * near, top[:, :, :SIZE]),
        (lower * near, bottom[:, :, :SIZE]),
        (lower * far, bottom[:, :, SIZE:]),
    ):
        # A float64 holds the product of two float32 exactly: one rounding, as in `picture.resize_and_crop`.
        total = (weight.double() * part).add_(total).float()
    return total


@cache
def _filters(device: torch.device) -> Tensor:
    return torch.from_numpy(sound.filterbank().T.copy()).to(device)


def _here(array: Tensor | np.ndarray, device: torch.device) -> Tensor:
    """Return an array for use on the device and in this stream, whatever stream it was copied in."""
    tensor = torch.as_tensor(array).to(device)
    if tensor.is_cuda:
        tensor.record_stream(torch.cuda.current_stream(tensor.device))
    return tensor
