"""CLAP's sound tower by transformers: ten seconds of sound -> a vector, for two released sets of weights.

Both are the same Swin transformer (HTSAT, Chen et al., ICASSP 2022) with a projection of two layers. LAION's (Wu et al., ICASSP
2023) hears 48 kHz and gives 512 numbers, that of WavCaps (Mei et al., 2023) hears 32 kHz and gives 1024.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from avzsl.pretrained.clip_files import Clap, check_installed

BANDS, FFT, LOW_HZ, HIGH_HZ = 64, 1024, 50.0, 14000.0
# transformers computes these, whatever a file says.
COMPUTED = "relative_position_index"


class LogMel(nn.Module):
    """Samples (N, n) of -1 ... 1 -> decibels of 64 mel bands, (N, 1 + n // hop, 64); silence is -100.

    Frames of 1024 samples under a Hann window, centred with reflection; Slaney's bands from 50 to 14,000 Hz.
    """

    def __init__(self, rate: int, hop: int) -> None:
        super().__init__()
        from torchaudio.transforms import MelSpectrogram

        self.mel = MelSpectrogram(
            rate,
            n_fft=FFT,
            hop_length=hop,
            f_min=LOW_HZ,
            f_max=HIGH_HZ,
            n_mels=BANDS,
            norm="slaney",
            mel_scale="slaney",
        )

    def forward(self, samples: Tensor) -> Tensor:
        power: Tensor = self.mel(samples)
        return 10 * power.clamp_min(1e-10).log10().transpose(1, 2)


class SoundEncoder(nn.Module):
    """Samples (N, 10 s) of -1 ... 1 -> (N, dim), not normalised."""

    def __init__(self, clap: Clap, depths: tuple[int, int, int, int] = (2, 2, 6, 2)) -> None:
        super().__init__()
        check_installed("transformers")
        from transformers import ClapAudioConfig, ClapAudioModelWithProjection

        self.dim, self.samples = clap.dim, clap.samples
        self.front = LogMel(clap.rate, clap.hop)
        self.tower: nn.Module = ClapAudioModelWithProjection(
            ClapAudioConfig(projection_dim=clap.dim, depths=list(depths))
        )
        self.tower.train(False)

    def template(self) -> dict[str, Tensor]:
        """Return the tensors that a checkpoint has to have, by transformers' names."""
        return {name: value for name, value in self.tower.state_dict().items() if not name.endswith(COMPUTED)}

    def take(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights of `template`."""
        self.tower.load_state_dict(dict(state), strict=False)

    def from_log_mel(self, frames: Tensor) -> Tensor:
        """(N, T, 64), T of at most 1024 -> (N, dim)."""
        found: Tensor = self.tower(input_features=frames[:, None]).audio_embeds
        return found

    def forward(self, samples: Tensor) -> Tensor:
        return self.from_log_mel(self.front(samples))


def wavcaps_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the sound tower of a WavCaps checkpoint by transformers' names; its classification heads are left out.

    What the front end computed is left out too. Queries, keys and values are one matrix there and three here.
    """
    out: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if name.startswith("audio_proj."):
            number = {"0": "linear1", "2": "linear2"}.get(name.split(".")[1])
            if number:
                out[f"audio_projection.{number}.{name.rsplit('.', 1)[-1]}"] = value
            continue
        inner = name.removeprefix("audio_encoder.audio_enc.")
        if (
            inner == name
            or inner.startswith(("tscam_conv", "head", "audio_feats_extractor"))
            or inner.endswith("attn_mask")
        ):
            continue
        for theirs, ours in _NAMES:
            inner = inner.replace(theirs, ours)
        ours = f"audio_model.audio_encoder.{inner}"
        if ".attn.qkv." in ours:
            for part, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                out[ours.replace(".attn.qkv.", f".attention.self.{part}.")] = third
        else:
            out[ours.replace(".attn.", ".attention.self.")] = value
    return out


_NAMES = (
    ("bn0.", "batch_norm."), (".norm1.", ".layernorm_before."), (".norm2.", ".layernorm_after."),
    (".mlp.fc1.", ".intermediate.dense."), (".mlp.fc2.", ".output.dense."), (".attn.proj.", ".attention.output.dense."),
)  # fmt: skip


def unit(vectors: Tensor) -> Tensor:
    """Return vectors (N, dim) of norm 1."""
    return functional.normalize(vectors, dim=1)
