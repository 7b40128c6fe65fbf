"""The audio network's front end: 44.1-kHz sound -> log-mel frames."""

from __future__ import annotations

from functools import cache

import torch
import torchaudio
from torch import Tensor, nn

from extractors.i3d_audiocnn.audio_network import BANDS, FRAMES

RATE = 44100
FFT, HOP = 1024, 512


@cache
def _front_end() -> nn.Sequential:
    """librosa's defaults: periodic Hann window, frames centred between zeros, Slaney's mel bands of equal area, power."""
    spectrogram = torchaudio.transforms.MelSpectrogram(
        RATE, FFT, hop_length=HOP, n_mels=BANDS, pad_mode="constant", power=2.0, norm="slaney", mel_scale="slaney"
    )
    return nn.Sequential(spectrogram, torchaudio.transforms.AmplitudeToDB("power", top_db=80.0))


@torch.no_grad()
def log_mel(samples: Tensor) -> Tensor:
    """Return dB frames of mono samples (n,) float32 of -1 ... 1: (frames, 128), at most 80 dB below the clip's maximum.

    Fewer than 128 frames, a segment's length, end in zeros.
    """
    frames: Tensor = _front_end()(samples).T
    short = max(0, FRAMES - len(frames))
    return torch.cat([frames, frames.new_zeros(short, BANDS)]) if short else frames
