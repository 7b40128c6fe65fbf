"""The whole project (config/config.yaml)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from avzsl.config.base import Name, Preset, Section
from avzsl.config.methods import Overrides

# What shows the scalars of a run while it trains.
Tracking = Literal["tensorboard", "wandb", "mlflow", "none"]


class BenchmarkConfig(Section):
    """One benchmark: a data set, a split of it, a feature set, and who competes."""

    dataset: Name
    split: Name | None = Field(None, description="a split of the data set; default: its first")
    features: Name | None = Field(None, description="a feature set; default: the data set's")
    preset: Preset | None = None
    methods: tuple[Name, ...] | None = None
    seeds: tuple[int, ...] | None = None
    overrides: Overrides = Field(default_factory=Overrides, description="changes to every method here")


class ProjectConfig(Section):
    """What to build and where."""

    benchmarks: dict[Name, BenchmarkConfig] = Field(min_length=1)
    methods: tuple[Name, ...] = Field(
        ("avca", "cjme"), min_length=1, description="methods of benchmarks that name none"
    )
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    preset: Preset = "corrected"
    results: str = Field("results", description="tables, features, runs and the report")
    data: str = Field("data", description="downloads and media")
    cache: str | None = Field(
        None, description="a folder that projects and people share: features made once are taken from it by all"
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    tracking: Tracking = Field(
        "tensorboard", description="what shows training while it runs; wandb and mlflow are installed by who wants them"
    )

    @field_validator("benchmarks", mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        """Accept `demo`, `[demo, ucf]` and `{demo: }` for benchmarks that are their data set's defaults."""
        if isinstance(value, str):
            value = [name.strip() for name in value.split(",") if name.strip()]
        if isinstance(value, list):
            value = {name: None for name in value}
        if isinstance(value, dict):
            value = {name: {"dataset": name} if body is None else body for name, body in value.items()}
        return value
