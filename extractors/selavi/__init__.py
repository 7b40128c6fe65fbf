"""SeLaVi's audio and visual features (Asano et al., 2020) as the AVCA paper uses them (section 4.1).

Two 512-d vectors a window: R(2+1)D-18 on 30 RGB frames of 112 x 112, a ResNet-9 on a 257 x 99 log filterbank.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from avzsl.config.features import ExtractorOptions, WeightsConfig
from extractors.base import ClipInfo, Networks, Window


class Options(ExtractorOptions):
    """Windows, weights, and how the two networks are run."""

    windows: Literal["uniform", "as_released"] = Field(
        "uniform", description="a window a second to the clip's end, or the released code's plan"
    )
    antialias: bool = Field(False, description="uniform windows: antialias when frames are made smaller")
    weights: WeightsConfig = Field(description="which weights: random_seed, path or url")
    execution: Literal["auto", "exact", "fused", "tf32", "bfloat16", "half"] = Field(
        "auto",
        description="how the networks are run (docs/fidelity-features.md): auto is fused on a CPU, on a GPU the fastest that stays within 1e-3 of float32; tf32 and half need a GPU",
    )
    backend: Literal["torch", "openvino"] = Field(
        "torch",
        description="what runs the video trunk; openvino: CPU only, execution fused or bfloat16, an extra package",
    )
    batch_windows: int | None = Field(
        None,
        gt=0,
        description="windows in one forward pass on a GPU; null: what its memory allows. A CPU runs one a thread",
    )

    @property
    def libraries(self) -> tuple[str, ...]:
        return ("torchvision", self.backend)

    @model_validator(mode="after")
    def _backend_fits(self) -> Options:
        if self.backend == "openvino" and self.execution not in ("auto", "fused", "bfloat16"):
            raise ValueError(f"backend: openvino runs execution fused or bfloat16, not {self.execution}")
        return self

    @model_validator(mode="after")
    def _weights_named(self) -> Options:
        """SeLaVi never runs with weights that nobody asked for."""
        named = [self.weights.random_seed is not None, bool(self.weights.path), bool(self.weights.url)]
        if not any(named):
            raise ValueError("weights: name one of random_seed, path or url")
        if named[0] and any(named[1:]):
            raise ValueError("weights: give random_seed or path/url, not both")
        return self


def read(path: Path, options: Options, info: ClipInfo) -> Iterator[Window]:
    """Yield the windows of a file: `audio` (1, 257, frames) float32, `visual` (30, 112, 112, 3).

    `visual` is uint8 RGB for uniform windows with the antialiased resize, normalised float32 otherwise.
    Raises ClipError where there is nothing to yield.
    """
    if options.windows == "as_released":
        from extractors.selavi.released import read_released

        return read_released(path, info)
    from extractors.selavi.uniform import read_uniform

    return read_uniform(path, info, antialias=options.antialias)


def read_raw(path: Path, options: Options, info: ClipInfo) -> Iterator[Window]:
    """Yield the windows of `read` as they were decoded, for networks on a device (`extractors.selavi.raw`)."""
    if options.windows == "as_released":
        from extractors.selavi.released import read_released_raw

        return read_released_raw(path, info)
    from extractors.selavi.uniform import read_uniform_raw

    return read_uniform_raw(path, info, antialias=options.antialias)


def load(options: Options, device: str, threads: int, cache: Path) -> Networks:
    """Load the two trunks; see `extractors.selavi.networks`."""
    from extractors.selavi.networks import load_networks

    return load_networks(options, device, threads, cache)
