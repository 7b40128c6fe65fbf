"""SeLaVi's audio and visual features (Asano et al., 2020) as the AVCA paper uses them (section 4.1).

Two 512-d vectors a window: R(2+1)D-18 on 30 RGB frames of 112 x 112, a ResNet-9 on a 257 x 99 log filterbank.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from avzsl.config.features import FeaturesConfig
from extractors.base import ClipInfo, Networks, Window


def read(path: Path, features: FeaturesConfig, info: ClipInfo) -> Iterator[Window]:
    """Yield the windows of a file: `audio` (1, 257, frames) float32, `visual` (30, 112, 112, 3).

    `visual` is uint8 RGB for uniform windows with the antialiased resize, normalised float32 otherwise.
    Raises ClipError where there is nothing to yield.
    """
    if features.windows == "as_released":
        from extractors.selavi.released import read_released

        return read_released(path, info)
    from extractors.selavi.uniform import read_uniform

    return read_uniform(path, info, antialias=features.antialias)


def load(features: FeaturesConfig, device: str, threads: int, cache: Path) -> Networks:
    """Load the two trunks; see `extractors.selavi.networks`."""
    from extractors.selavi.networks import load_networks

    return load_networks(features, device, threads, cache)
