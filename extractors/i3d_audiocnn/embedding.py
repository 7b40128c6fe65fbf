"""I3D and the audio network on a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from avzsl.config.features import WeightsConfig
from avzsl.contracts.errors import ConfigError
from avzsl.pretrained.advice import fetch
from avzsl.pretrained.checkpoints import read_tensors
from avzsl.runtime.accelerator import choose_device
from extractors.base import Features, Window, pictures
from extractors.convolutions import by_onednn, fold
from extractors.i3d_audiocnn import I3D_WEIGHTS, Options
from extractors.i3d_audiocnn.audio_network import DIM, AudioNetwork, audio_network, labels_of
from extractors.i3d_audiocnn.i3d import I3D, PUBLISHED, tensor_names
from extractors.i3d_audiocnn.windows import place_of
from extractors.weights import load_weights, locate

AUDIOSET_LABELS = 527


def load_networks(options: Options, device: str, threads: int, cache: Path) -> I3dAudioNetworks:
    """Load both networks onto `device` ("auto", "cpu" or "cuda").

    Raises ConfigError for a device or weights that are not there, DataError for a file of another layout.
    """
    where = choose_device(device)
    torch.set_num_threads(threads)
    with torch.device("meta"):
        picture = I3D()
    state, picture_name, random_picture = load_weights(
        options.picture_weights,
        picture.state_dict(),
        cache,
        tensor_names,
        PUBLISHED,
        advice=fetch(I3D_WEIGHTS, "picture_weights"),
    )
    picture.load_state_dict(state, assign=True)
    sound, sound_name, random_sound = load_audio_network(options.sound_weights, cache)
    identity = {
        "name": "i3d_audiocnn", "windows": options.preset, "weights": f"i3d {picture_name}, audiocnn {sound_name}",
        "random_weights": random_picture or random_sound, "execution": "float32",
    }  # fmt: skip
    return I3dAudioNetworks(picture, sound, identity, where, options.batch_windows)


def load_audio_network(weights: WeightsConfig, cache: Path) -> tuple[AudioNetwork, str, bool]:
    """Return the audio network, its identity, and whether it is random; the file says how many labels it has."""
    if not weights.named:
        raise ConfigError("sound_weights: the audio network has none: it is trained by the rule train_audio_network, or a file is named")  # fmt: skip
    labels = AUDIOSET_LABELS
    if weights.random_seed is None:
        labels = labels_of(read_tensors(locate(weights, cache)[0]))
    with torch.device("meta"):
        network = AudioNetwork(max(labels, 1))
    state, name, is_random = load_weights(weights, network.state_dict(), cache, audio_network)
    if is_random:  # bands as they are: drawing has no means
        state |= audio_network({})
    network.load_state_dict(state, assign=True)
    return network, name, is_random


class I3dAudioNetworks:
    """Embeds windows of `extractors.i3d_audiocnn.read` (see `extractors.base.Networks`).

    A CPU computes window by window, so that the features of a clip do not depend on its neighbours in a batch.
    """

    audio_dim = visual_dim = DIM

    def __init__(
        self, picture: I3D, sound: AudioNetwork, identity: dict[str, Any], device: torch.device, batch_windows: int
    ) -> None:
        self.identity, self.batch_windows, self.measured = identity, batch_windows, dict[str, float]()
        self._device = device
        self._picture = by_onednn(fold(picture), device)
        self._sound = sound.to(device)
        fold(sound)

    @torch.inference_mode()
    def embed(self, windows: Sequence[Window]) -> Features:
        """Begin to embed windows; the function returned gives float32 (sounds, 1024) and (pictures, 1024)."""
        heard = [self._hear(window) for window in windows if window.audio is not None]
        audio = torch.stack(heard) if heard else torch.zeros(0, DIM)
        visual = self._see([torch.from_numpy(frames) for frames in pictures(windows)])
        return lambda: (audio.cpu().numpy(), visual.cpu().numpy())

    def _hear(self, window: Window) -> Tensor:
        frames = self._sound.standardised(torch.from_numpy(window.audio).to(self._device))
        maps: Tensor = self._sound(frames[None])[0]
        return maps[place_of(window.start)]

    def _see(self, frames: list[Tensor]) -> Tensor:
        if not frames:
            return torch.zeros(0, DIM)
        size = 1 if self._device.type == "cpu" else len(frames)
        batches = (torch.stack(frames[start : start + size]) for start in range(0, len(frames), size))
        return torch.cat([self._picture(scaled(batch.to(self._device))).mean(1) for batch in batches])


def scaled(frames: Tensor) -> Tensor:
    """Return frames uint8 (N, T, H, W, 3) as I3D takes them: float32 (N, 3, T, H, W) of -1 ... 1, channels last in memory."""
    return frames.permute(0, 4, 1, 2, 3).float() * (2.0 / 255.0) - 1.0
