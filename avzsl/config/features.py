"""How features are extracted (config/features/NAME.yaml)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from avzsl.config.base import Section


class WeightsConfig(Section):
    """Which network weights; the identity of the weights is written into every output."""

    random_seed: int | None = Field(None, description="seeded random weights: a demonstration, never a benchmark")
    path: str | None = Field(None, description="checkpoint file of the published layout")
    url: str | None = Field(None, description="where to fetch the checkpoint if `path` is not given")
    sha256: str | None = Field(None, description="expected checksum; recorded on first use when absent")


class FeaturesConfig(Section):
    """One feature set: an extractor module of `extractors` and its options."""

    title: str = ""
    extractor: str = Field("selavi", description="module of the extractors package")
    windows: Literal["uniform", "as_released"] = "uniform"
    antialias: bool = Field(False, description="uniform windows: antialias when frames are made smaller")
    weights: WeightsConfig = Field(default_factory=WeightsConfig)
    released: str | None = Field(
        None,
        description="folder of published .h5 features, {dataset} stands for the data set: imported, nothing is extracted",
    )
    dtype: Literal["float32", "float16"] = Field(
        "float32", description="how steps are stored; float16 halves the disk that sequences need"
    )
    execution: Literal["exact", "fused", "bfloat16", "half"] = Field("fused", description="how the networks are run")
    backend: Literal["torch", "openvino"] = Field(
        "torch",
        description="what runs the video trunk; openvino: CPU only, execution fused or bfloat16, an extra package",
    )
    tf32: bool = Field(
        False, description="allow TF32 in float32 convolutions on a GPU: faster, relative error about 1e-3"
    )
    batch_windows: int = Field(16, gt=0, description="windows in one forward pass on a GPU; a CPU runs one at a time")
    max_lost_share: float = Field(
        0.2, ge=0, le=1, description="a clip that loses a larger share of its frames or its sound to damage is corrupt"
    )
    time_limit_s: float = Field(600.0, gt=0, description="seconds that decoding a clip may take beyond its own length")

    @model_validator(mode="after")
    def _backend_fits(self) -> FeaturesConfig:
        if self.backend == "openvino" and self.execution not in ("fused", "bfloat16"):
            raise ValueError(f"backend: openvino runs execution fused or bfloat16, not {self.execution}")
        return self

    @model_validator(mode="after")
    def _weights_named(self) -> FeaturesConfig:
        """SeLaVi never runs with weights that nobody asked for; imported features need none."""
        named = [self.weights.random_seed is not None, bool(self.weights.path), bool(self.weights.url)]
        if self.extractor == "selavi" and not any(named) and self.released is None:
            raise ValueError("weights: name one of random_seed, path or url")
        if named[0] and any(named[1:]):
            raise ValueError("weights: give random_seed or path/url, not both")
        return self
