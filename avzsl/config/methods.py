"""A method and its hyper-parameters (config/methods/NAME.yaml)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from avzsl.config.base import Preset, Section

Option = bool | int | float | str | None | list[Any]


class TrainingConfig(Section):
    """The optimisation both stages share (spec: AVCA section 4.2 and the released scripts)."""

    epochs: int = Field(50, gt=0)
    batches_per_epoch: int = Field(500, gt=0)
    batch_size: int = Field(256, gt=1)
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)


class Overrides(Section):
    """Changes to a method's options and training: for a data set, a preset or a benchmark."""

    options: dict[str, Option] = Field(default_factory=dict)
    training: dict[str, Option] = Field(default_factory=dict)


class MethodConfig(Section):
    """One method: a module of `avzsl.methods`, with the default of every option it knows.

    The options here are the complete list: an override must name one of them.
    Precedence, low to high: `options`, `presets[preset]`, `datasets[dataset]`, the data set's and the benchmark's own overrides.
    """

    title: str
    module: str
    source: str = Field(description="paper, section")
    options: dict[str, Option] = Field(default_factory=dict)
    training: TrainingConfig = TrainingConfig()
    presets: dict[Preset, Overrides] = Field(default_factory=dict)
    datasets: dict[str, Overrides] = Field(default_factory=dict)
