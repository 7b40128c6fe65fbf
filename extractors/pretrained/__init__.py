"""Two trained networks that need no download: YAMNet for sound (1024), EfficientNet-Lite0 for pictures (1280), a second each.

Their weights are files inside packages of the extra [pretrained]. The labels they were trained with (AudioSet, ImageNet-1k)
may name an unseen class: features of this kind are open, useful but not zero-shot in the strict sense.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.errors import ConfigError
from extractors.base import ClipInfo, Networks, Window


def read(path: Path, features: FeaturesConfig, info: ClipInfo) -> Iterator[Window]:
    """Yield uniform windows: `audio` log-mel patches float32 (1 to 3, 96, 64), `visual` uint8 RGB (2, 224, 224, 3).

    Raises ClipError where there is nothing to yield.
    """
    from extractors.pretrained.windows import read_seconds

    return read_seconds(path, info)


def load(features: FeaturesConfig, device: str, threads: int, cache: Path) -> Networks:
    """Load both networks; see `extractors.pretrained.networks`."""
    from extractors.pretrained.networks import load_networks

    if features.windows != "uniform" or features.backend != "torch" or features.execution != "fused":
        raise ConfigError(
            "features: the extractor pretrained has windows uniform, backend torch and execution fused only"
        )
    return load_networks(features, device, threads)
