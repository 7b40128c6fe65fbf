"""C3D and VGGish on a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avzsl.config.base import expand
from avzsl.contracts.errors import DataError
from avzsl.pretrained.advice import fetch
from avzsl.pretrained.checkpoints import random_state
from avzsl.runtime.accelerator import choose_device
from avzsl.runtime.weights import first_use
from extractors.arrays import read_npy
from extractors.base import Features, Window, pictures, sounds
from extractors.c3d_vggish import WHERE, Options
from extractors.c3d_vggish.networks import AUDIO_DIM, C3D, FRAMES, SIDE, VISUAL_DIM, Quantiser, VGGish
from extractors.c3d_vggish.picture import HEIGHT, LEFT, TOP, WIDTH
from extractors.c3d_vggish.weights import KEYS, PUBLISHED, read_whitening, vggish_names
from extractors.convolutions import by_onednn
from extractors.weights import load_weights, locate

# The released code's: torchvision's of Kinetics, in the order red, green, blue, used for blue, green, red of 0 ... 1.
RELEASED_MEAN, RELEASED_DEVIATION = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
# Of Sports-1M in blue, green, red of 0 ... 255: computed from C3D's mean file in issue 1 of DavideA/c3d-pytorch.
SPORTS1M_MEAN = (90.25, 97.66, 101.41)


def load_networks(options: Options, device: str, threads: int, cache: Path) -> C3dVggishNetworks:
    """Load both networks and the whitening onto `device` ("auto", "cpu" or "cuda").

    Raises ConfigError for a device that is not there, DataError for a file of another layout.
    """
    where = choose_device(device)
    torch.set_num_threads(threads)
    with torch.device("meta"):
        picture, sound = C3D(options.layer), VGGish()
    state, picture_name, random_picture = load_weights(
        options.picture_weights, picture.state_dict(), cache, advice=fetch(WHERE["picture_weights"], "picture_weights")
    )
    picture.load_state_dict(state, assign=True)
    state, sound_name, random_sound = load_weights(
        options.sound_weights,
        sound.state_dict(),
        cache,
        vggish_names,
        PUBLISHED,
        advice=fetch(WHERE["sound_weights"], "sound_weights"),
    )
    sound.load_state_dict(state, assign=True)
    whitening, whitening_name = load_whitening(options, cache)
    names = [f"c3d {picture_name}", f"vggish {sound_name}"] + ([f"pca {whitening_name}"] if whitening_name else [])
    identity = {
        "name": "c3d_vggish",
        "windows": options.windows if options.windows == "corrected" else f"as_released, {options.colours}",
        "layer": options.layer, "postprocess": options.after_vggish, "weights": ", ".join(names),
        "random_weights": random_picture or random_sound or whitening_name.startswith("random"), "execution": "float32",
    }  # fmt: skip
    if options.mean is not None:
        identity["mean"] = f"sha256:{first_use(options.mean, expand(options.mean))}"
    return C3dVggishNetworks(picture, nn.Sequential(sound, whitening), preparation(options), identity, where, options)


def load_whitening(options: Options, cache: Path) -> tuple[nn.Module, str]:
    """Return what follows VGGish and its identity, empty where nothing does; raises DataError for a file of another layout."""
    if options.after_vggish == "none":
        return nn.Identity(), ""
    quantised = options.after_vggish == "quantised"
    seed = options.whitening.random_seed
    if seed is not None:
        template = {KEYS[0]: torch.empty(AUDIO_DIM, AUDIO_DIM)}
        components = random_state(template, seed)[KEYS[0]]
        return Quantiser(components, torch.zeros(AUDIO_DIM), quantised), f"random:{seed}"
    path, digest = locate(options.whitening, cache)
    return read_whitening(path, quantised), f"sha256:{digest}"


def preparation(options: Options) -> Callable[[Tensor], Tensor]:
    """Return what C3D takes for a window's frames uint8 (n, 112, 112, 3): float32 (3, 16, 112, 112); as_released n may be less."""
    if options.windows == "as_released":
        return prepare_released
    mean = torch.tensor(SPORTS1M_MEAN) if options.mean is None else read_mean(expand(options.mean))
    return lambda frames: (frames.float() - mean.to(frames.device)).permute(3, 0, 1, 2)


def prepare_released(frames: Tensor) -> Tensor:
    """Normalise as the released code does, with zeros in the place of frames that lack (see `preparation`)."""
    mean, deviation = (torch.tensor(v, device=frames.device) for v in (RELEASED_MEAN, RELEASED_DEVIATION))
    window = frames.new_zeros((FRAMES, SIDE, SIDE, 3), dtype=torch.float32)
    window[: len(frames)] = (frames.float() / 255 - mean) / deviation
    return window.permute(3, 0, 1, 2)


def read_mean(path: Path) -> Tensor:
    """Return C3D's mean volume, cropped as frames are: float32 (16, 112, 112, 3); raises DataError for another file."""
    try:
        volume = read_npy(path)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(path, "is not a whole .npy file of numbers; fetch it again") from error
    if not isinstance(volume, np.ndarray) or volume.shape != (1, 3, FRAMES, HEIGHT, WIDTH) or volume.dtype.kind != "f":
        raise DataError(path, f"holds no mean of shape (1, 3, {FRAMES}, {HEIGHT}, {WIDTH}); name C3D's c3d_mean.npy")
    cropped = volume[0, :, :, TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    return torch.from_numpy(cropped.transpose(1, 2, 3, 0).astype(np.float32))


class C3dVggishNetworks:
    """Embeds windows of `extractors.c3d_vggish.read` (see `extractors.base.Networks`).

    A CPU computes window by window, so that the features of a clip do not depend on its neighbours in a batch.
    """

    audio_dim, visual_dim = AUDIO_DIM, VISUAL_DIM

    def __init__(
        self, picture: nn.Module, sound: nn.Module, prepare: Callable[[Tensor], Tensor], identity: dict[str, Any],
        device: torch.device, options: Options,
    ) -> None:  # fmt: skip
        self.identity, self.batch_windows, self.measured = identity, options.batch_windows, dict[str, float]()
        self._device, self._prepare = device, prepare
        self._picture, self._sound = by_onednn(picture.eval(), device), sound.to(device).eval()

    @torch.inference_mode()
    def embed(self, windows: Sequence[Window]) -> Features:
        """Begin to embed windows; the function returned gives float32 (sounds, 128) and (pictures, 4096)."""
        audio = self._embed(self._sound, [torch.from_numpy(one) for one in sounds(windows)], AUDIO_DIM)
        seen = [self._prepare(torch.from_numpy(frames).to(self._device)) for frames in pictures(windows)]
        visual = self._embed(self._picture, seen, VISUAL_DIM)
        return lambda: (audio.cpu().numpy(), visual.cpu().numpy())

    def _embed(self, network: nn.Module, inputs: list[Tensor], dim: int) -> Tensor:
        if not inputs:
            return torch.zeros(0, dim)
        size = 1 if self._device.type == "cpu" else len(inputs)
        batches = (torch.stack(inputs[start : start + size]) for start in range(0, len(inputs), size))
        return torch.cat([network(batch.to(self._device)) for batch in batches])
