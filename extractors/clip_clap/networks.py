"""CLIP and CLAP on a device, what they are known by, and a check that they are the networks they are called."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from avzsl.config.features import WeightsConfig
from avzsl.contracts.errors import ConfigError
from avzsl.pretrained.advice import fetch
from avzsl.pretrained.clap import SoundEncoder, unit, wavcaps_tensors
from avzsl.pretrained.clip import PictureEncoder
from avzsl.pretrained.clip_files import CLAPS, CLIP_WEIGHTS, WAVCAPS, Clap, filled
from avzsl.pretrained.clip_names import openai_names
from avzsl.runtime.accelerator import SLOW_BFLOAT16, accelerator, choose_device, cpu_has_bfloat16
from extractors.base import Features, Window, pictures, sounds
from extractors.clip_clap import Options
from extractors.clip_clap.layers import swap_layers
from extractors.weights import load_weights

# What weights of a known identity make of the fixed input, so that another network is found out whatever changed it.
KNOWN: Mapping[tuple[str, str], tuple[float, ...]] = {
    ("clip", "random:0"): (0.68, 0.05, 0.07, -0.16, -0.18, -0.49, -0.48, 0.16),
    ("laion", "random:0"): (0.74, -0.18, -0.12, -0.22, -0.25, 0.02, -0.42, -0.09),
    ("wavcaps", "random:0"): (0.28, 0.12, 0.39, 0.24, 0.28, -0.23, -0.29, -0.27),
}
TOLERANCE = 0.02
# Products of fewer rows than four pictures have are summed up in another order on a CPU: a batch is filled up to this many.
LEAST = 4
logger = logging.getLogger(__name__)
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def load_networks(options: Options, device: str, threads: int, cache: Path) -> ClipClapNetworks:
    """Load both networks onto `device` ("auto", "cpu" or "cuda").

    Raises ConfigError if the device is not there or a network gives other numbers than its weights are known for; DataError
    for a file of other layout.
    """
    where = choose_device(device)
    torch.set_num_threads(threads)
    clap = CLAPS[options.sound]
    picture, sound = PictureEncoder(), SoundEncoder(clap)
    names, probes, random = [], {}, []
    for kind, network, weights, advice in (
        ("clip", picture, options.picture_weights, fetch(CLIP_WEIGHTS, "picture_weights")),
        (clap.name, sound, options.sound_weights, fetch(clap.weights, "sound_weights")),
    ):
        name, is_random = _fill(kind, network, weights, cache, advice)
        names.append(f"{kind} {name}")
        probes[kind] = check_probe(kind, name, network)
        random.append(is_random)
    lacks = accelerator(where).lacks(TYPES[options.execution])
    if lacks:
        raise ConfigError(f"features: execution: {options.execution} is not to be had ({lacks}); give float32")
    identity = {
        "name": "clip_clap", "windows": _plan(options), "weights": ", ".join(names),
        "random_weights": any(random), "execution": options.execution, "probe": probes,
        "label_sets": [] if all(random) else ["web_captions"],
    }  # fmt: skip
    execution = options.execution
    if execution == "bfloat16" and where.type == "cpu" and not cpu_has_bfloat16():
        logger.warning(SLOW_BFLOAT16)
        execution = "float32"
    networks = ClipClapNetworks(clap, sound, picture, identity, where, options.batch_windows, TYPES[execution])
    networks.measured["execution"] = execution
    return networks


def _plan(options: Options) -> str:
    return f"uniform, {options.frames} a second" if options.windows == "uniform" else f"as_released, {options.colours}"


def _fill(
    kind: str, network: PictureEncoder | SoundEncoder, weights: WeightsConfig, cache: Path, advice: str
) -> tuple[str, bool]:
    template = network.template() if isinstance(network, SoundEncoder) else network.state_dict()
    translate = wavcaps_tensors if kind == WAVCAPS.name else visual_names if kind == "clip" else None
    state, name, is_random = load_weights(weights, template, cache, translate=translate, advice=advice)
    network.take(state)
    return name, is_random


def visual_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return CLIP's tower of pictures alone."""
    return {name: value for name, value in openai_names(tensors).items() if name.startswith("visual.")}


def check_probe(kind: str, weights: str, network: nn.Module) -> list[float]:
    """Return a fixed input's embedding at eight places, over its largest number and rounded to two digits.

    Raises ConfigError where weights of this identity are known for others.
    """
    found = probe(network)
    known = KNOWN.get((kind, weights))
    if known and max(abs(a - b) for a, b in zip(found, known, strict=True)) > TOLERANCE:
        raise ConfigError(
            f"the network {kind} gives {found} for the check's input, with its weights {weights} it should be {list(known)}; "
            "install the versions of pip install 'avzsl[clip]'"
        )
    return found


@torch.inference_mode()
def probe(network: nn.Module) -> list[float]:
    """Return a network's numbers for a fixed input, always computed in float32 on the processor."""
    rng = np.random.default_rng(0)
    if isinstance(network, SoundEncoder):
        given = torch.from_numpy(rng.uniform(-0.5, 0.5, (1, network.samples)).astype(np.float32))
    else:
        given = torch.from_numpy(rng.integers(0, 256, (1, 224, 224, 3), np.uint8))
    row = network(given)[0]
    return [round(float(value), 2) for value in (row / row.abs().max())[:: len(row) // 8][:8]]


class ClipClapNetworks:
    """Embeds windows of `extractors.clip_clap.read` (see `extractors.base.Networks`): unit vectors.

    A CPU computes pictures in batches and sounds one by one, whose products are large enough, so that a clip's features are
    the same whatever its neighbours in a batch. `dtype` is that of products of matrices.
    """

    visual_dim = PictureEncoder.dim

    def __init__(
        self, clap: Clap, sound: SoundEncoder, picture: PictureEncoder, identity: dict[str, Any],
        device: torch.device, batch_windows: int, dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        self.audio_dim, self.identity, self.batch_windows = clap.dim, identity, batch_windows
        self.measured = dict[str, Any]()
        self._clap, self._device, self._cpu = clap, device, device.type == "cpu"
        self._sound, self._picture = sound.to(device).eval(), picture.to(device).eval()
        if self._cpu or dtype is not torch.float32:
            swap_layers(self._picture, dtype, narrow=True)
            swap_layers(self._sound, dtype, narrow=False)

    @torch.inference_mode()
    def embed(self, windows: Sequence[Window]) -> Features:
        """Begin to embed windows; the function returned gives float32 (sounds, audio_dim) and (pictures, 512)."""
        heard = [filled(samples, self._clap) for samples in sounds(windows)]
        size = 1 if self._cpu else len(heard)
        audio = [self._hear(np.stack(heard[start : start + size])) for start in range(0, len(heard), size)]
        seen = pictures(windows)
        filling = [seen[-1]] * (LEAST - len(seen)) if seen and self._cpu else []
        visual = [self._see(np.stack(seen + filling))[: len(seen)]] if seen else []
        return lambda: (_rows(audio, self.audio_dim), _rows(visual, self.visual_dim))

    def _hear(self, samples: np.ndarray) -> Tensor:
        return unit(self._sound(torch.from_numpy(samples).to(self._device).float() / 32768.0))

    def _see(self, frames: np.ndarray) -> Tensor:
        return unit(self._picture(torch.from_numpy(frames).to(self._device)))


def _rows(parts: list[Tensor], dim: int) -> np.ndarray:
    return torch.cat(parts).float().cpu().numpy() if parts else np.zeros((0, dim), np.float32)
