"""YAMNet and EfficientNet-Lite0 as plain torch, batch norm folded into the convolutions."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.config.features import WeightsConfig
from avzsl.contracts.errors import ConfigError, DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.pretrained import efficientnet, yamnet
from avzsl.pretrained.checkpoints import read_tensors
from avzsl.pretrained.wheels import EFFICIENTNET, YAMNET
from avzsl.runtime.accelerator import choose_device
from avzsl.runtime.weights import first_use
from extractors.base import Features, Window, pictures, sounds
from extractors.log_mel import BANDS
from extractors.openvino_network import OpenVinoNetwork, refuse_gpu
from extractors.pretrained import Options
from extractors.pretrained.picture import CROP
from extractors.pretrained.sound import PATCH

Network = Callable[[Tensor], Tensor]


class Convolution(nn.Module):
    """A convolution with bias and TensorFlow's SAME padding for maps of even size; `top` bounds the output, if given.

    A ReLU for `top` infinite, ReLU6 for 6; None leaves the output as it is.
    """

    def __init__(self, weight: Tensor, bias: Tensor, stride: int, groups: int, top: float | None) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self._stride, self._groups, self._top = stride, groups, top
        total = weight.shape[-1] - stride
        self._before, self._after = total // 2, total - total // 2

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, D, ceil(H / stride), ceil(W / stride))."""
        padding = self._before
        if self._before != self._after:
            x = functional.pad(x, (self._before, self._after, self._before, self._after))
            padding = 0
        x = functional.conv2d(x, self.weight, self.bias, self._stride, padding, groups=self._groups)
        if self._top is None:
            return x
        return functional.relu_(x) if self._top == float("inf") else x.clamp_(0.0, self._top)


class YamNet(nn.Module):
    """Log-mel patches (N, 96, 64) -> the mean of the last map, (N, 1024)."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(
                Convolution(tensors[f"conv.{i}.weight"], tensors[f"conv.{i}.bias"], stride, groups, float("inf"))
                for i, (stride, groups) in enumerate(yamnet.plan())
            )
        )

    def forward(self, patches: Tensor) -> Tensor:
        return self.layers(patches[:, None].contiguous(memory_format=torch.channels_last)).mean((2, 3))


class EfficientNetLite0(nn.Module):
    """RGB frames (N, 224, 224, 3) of 0 ... 255 -> the mean of the head's map, (N, 1280)."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()

        def folded(name: str, norm: str, stride: int, groups: int, top: float | None) -> Convolution:
            scale = tensors[f"{norm}.weight"] / (tensors[f"{norm}.running_var"] + efficientnet.EPSILON).sqrt()
            bias = tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale
            return Convolution(tensors[f"{name}.weight"] * scale[:, None, None, None], bias, stride, groups, top)

        self.stem = folded("_conv_stem", "_bn0", 2, 1, 6.0)
        self.blocks = nn.ModuleList()
        self._residual = []
        for number, (_, stride, width, inner, channels) in enumerate(efficientnet.blocks()):
            name = f"_blocks.{number}"
            parts = [folded(f"{name}._expand_conv", f"{name}._bn0", 1, 1, 6.0)] if inner != width else []
            parts.append(folded(f"{name}._depthwise_conv", f"{name}._bn1", stride, inner, 6.0))
            parts.append(folded(f"{name}._project_conv", f"{name}._bn2", 1, 1, None))
            self.blocks.append(nn.Sequential(*parts))
            self._residual.append(stride == 1 and width == channels)
        self.head = folded("_conv_head", "_bn1", 1, 1, 6.0)

    def forward(self, frames: Tensor) -> Tensor:
        x = self.stem(
            ((frames.permute(0, 3, 1, 2).float() - 127.0) / 128.0).contiguous(memory_format=torch.channels_last)
        )
        for block, residual in zip(self.blocks, self._residual, strict=True):
            x = block(x) + x if residual else block(x)
        return self.head(x).mean((2, 3))


def load_networks(options: Options, device: str, threads: int) -> PretrainedNetworks:
    """Load both networks onto `device` ("auto", "cpu" or "cuda").

    Raises ConfigError if a package is missing or changed, or the device is not there; DataError for a file of other layout.
    """
    refuse_gpu(options.backend, device)
    where = choose_device("cpu" if options.backend == "openvino" else device)
    torch.set_num_threads(threads)
    sound, picture, names, random_weights = load_weights(options.weights)
    identity = {
        "name": "pretrained", "windows": "uniform", "weights": ", ".join(names), "random_weights": random_weights,
        "execution": "fused", "label_sets": [] if random_weights else ["audioset", "imagenet1k"],
    }  # fmt: skip
    networks = PretrainedNetworks(YamNet(sound), EfficientNetLite0(picture), identity, where, options.batch_windows)
    if options.backend == "openvino":
        networks.use_openvino(threads)
    return networks


def load_weights(weights: WeightsConfig) -> tuple[dict[str, Tensor], dict[str, Tensor], list[str], bool]:
    """Return YAMNet's and EfficientNet's tensors, what they are known by, and whether they are random.

    Without `random_seed` and `path` they are those inside the packages. `path` is a file that takes the place of one
    (`.onnx` or its `.zip`; `.pth` or `.pt`; `.safetensors` of either), or a folder with a file for either or both.
    """
    if weights.url:
        raise ConfigError("features: weights: url: the extractor pretrained reads installed packages or weights.path")
    if weights.random_seed is not None:
        states = [_random(module.shapes(), weights.random_seed) for module in (yamnet, efficientnet)]
        return states[0], states[1], [f"random:{weights.random_seed}"], True
    given = _given(weights)
    for file in given:
        if file is not None and not weights.sha256:
            named = Path(str(weights.path))
            first_use(str(named / file.name if file.parent == named.expanduser() else named), file)
    sound_file, picture_file = given[0] or YAMNET.locate(), given[1] or EFFICIENTNET.locate()
    sound = {name: torch.from_numpy(array) for name, array in yamnet.read_yamnet(sound_file).items()}
    names = [f"{kind} sha256:{sha256_file(file)}" for kind, file in (("yamnet", sound_file), ("lite0", picture_file))]
    return sound, efficientnet.read_efficientnet(picture_file), names, False


def _given(weights: WeightsConfig) -> tuple[Path | None, Path | None]:
    if not weights.path:
        return None, None
    path = Path(weights.path).expanduser()
    if not path.exists():
        raise DataError(path, "the file of features.weights.path does not exist; correct the path")
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    sounds = [f for f in files if f.suffix in (".onnx", ".zip") or _converted(f, "sound")]
    pictures = [f for f in files if f.suffix in (".pth", ".pt") or _converted(f, "picture")]
    if not sounds + pictures or len(sounds) > 1 or len(pictures) > 1:
        raise DataError(
            path,
            "features.weights.path takes one YAMNet (.onnx, .zip), one EfficientNet-Lite0 (.pth, .pt), or both in a folder, "
            "either also as .safetensors",
        )
    if weights.sha256 and (path.is_dir() or sha256_file(path) != weights.sha256.lower()):
        raise DataError(path, f"is not the file of features.weights.sha256 {weights.sha256}")
    return (sounds or [None])[0], (pictures or [None])[0]  # type: ignore[list-item]


def _converted(path: Path, kind: str) -> bool:
    """Whether a file is what `avzsl weights convert` made of the network of `kind`, sound or picture."""
    if path.suffix != ".safetensors":
        return False
    is_picture = any(name.startswith("_conv_stem.") for name in read_tensors(path, "correct features.weights.path"))
    return is_picture == (kind == "picture")


def _random(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    """Return seeded random weights: He initialisation, batch norm as new; each tensor from a generator of its own."""
    state = {}
    for name, shape in shapes.items():
        if len(shape) == 1:
            one = name.endswith(("running_var", ".weight"))
            state[name] = torch.ones(shape) if one else torch.zeros(shape)
            continue
        generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
        values = generator.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        state[name] = torch.from_numpy(values.astype(np.float32))
    return state


class PretrainedNetworks:
    """Embeds windows of `extractors.pretrained.read` (see `extractors.base.Networks`).

    A window's features are the means over its patches and over its frames. A CPU computes window by window, so that the
    features of a clip do not depend on its neighbours in a batch.
    """

    audio_dim = yamnet.DIM
    visual_dim = efficientnet.DIM

    def __init__(
        self, sound: nn.Module, picture: nn.Module, identity: dict[str, Any], device: torch.device, batch_windows: int
    ) -> None:
        self.identity, self.batch_windows, self.measured = identity, batch_windows, dict[str, float]()
        self._device = device
        # The faster memory order on a CPU, by a fifth and more.
        self._modules = [part.to(device).to(memory_format=torch.channels_last).eval() for part in (sound, picture)]
        self._sound, self._picture = list[Network](self._modules)

    def use_openvino(self, threads: int) -> None:
        """Run both networks with OpenVINO from now on."""
        self.identity["backend"] = "openvino"
        patch, frame = torch.zeros(1, PATCH, BANDS), torch.zeros(1, CROP, CROP, 3, dtype=torch.uint8)
        pairs = zip(self._modules, (patch, frame), strict=True)
        self._sound, self._picture = (OpenVinoNetwork(module, item, torch.float32, threads) for module, item in pairs)

    @torch.inference_mode()
    def embed(self, windows: Sequence[Window]) -> Features:
        """Begin to embed windows; the function returned gives float32 (windows, 1024) and (windows, 1280)."""
        audio = self._means(self._sound, sounds(windows), self.audio_dim)
        visual = self._means(self._picture, pictures(windows), self.visual_dim)
        return lambda: (audio.cpu().numpy(), visual.cpu().numpy())

    def _means(self, network: Network, parts: list[np.ndarray], dim: int) -> Tensor:
        """Return the mean output over the items of each part: arrays (n, ...) -> (parts, dim)."""
        if self._device.type == "cpu":
            rows = [network(torch.from_numpy(part)).mean(0) for part in parts]
            return torch.stack(rows) if rows else torch.zeros(0, dim)
        counts = torch.tensor([len(part) for part in parts], device=self._device)
        outputs = network(torch.from_numpy(np.concatenate(parts)).to(self._device))
        owner = torch.repeat_interleave(torch.arange(len(parts), device=self._device), counts)
        total = torch.zeros(len(parts), dim, device=self._device).index_add_(0, owner, outputs)
        return total / counts[:, None]
