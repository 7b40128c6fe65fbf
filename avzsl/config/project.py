"""The whole project (config/config.yaml)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator

from avzsl.config.base import Item, Name, Preset, Section, Several
from avzsl.config.methods import Overrides

# What shows the scalars of a run while it trains.
Tracking = Literal["tensorboard", "wandb", "mlflow", "none"]

# Names that files and targets of the workflow have: a data set has a folder beside theirs.
RESERVED = frozenset(
    {"all", "all_media", "benchmark", "benchmarks", "embeddings", "extract", "features", "logs", "media", "pack"}
    | {"predictions", "report", "results", "run", "split", "splits", "state", "tables", "weights"}
)


def _each_once(values: tuple[Item, ...]) -> tuple[Item, ...]:
    twice = [value for place, value in enumerate(values) if value in values[:place]]
    if twice:
        raise ValueError(f"{twice[0]} stands twice")
    return values


Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seeds = Annotated[Several[Seed], Field(min_length=1, examples=[[0, 1, 2]]), AfterValidator(_each_once)]
Methods = Annotated[Several[Name], Field(min_length=1, examples=[["avca", "cjme"]]), AfterValidator(_each_once)]


class BenchmarkConfig(Section):
    """One benchmark: a data set, a split of it, a feature set, and who competes."""

    dataset: Name = Field(description="a file of `config/datasets`")
    split: Name | None = Field(None, description="a split of the data set; default: its first")
    features: Name | None = Field(None, description="a file of `config/features`; default: the data set's")
    preset: Preset | None = Field(None, description="default: the project's")
    methods: Methods | None = Field(None, description="who competes; default: the project's methods")
    seeds: Seeds | None = Field(None, description="default: the project's seeds")
    overrides: Overrides = Field(Overrides(), description="changes to every method here")

    @field_validator("dataset")
    @classmethod
    def _no_target(cls, value: str) -> str:
        if value in RESERVED:
            raise ValueError(f"a data set cannot be named {value!r}, as a part of the workflow is; rename its file")
        return value


class ProjectConfig(Section):
    """What to build and where."""

    benchmarks: dict[Name, BenchmarkConfig] = Field(
        min_length=1,
        description="benchmarks by name; a bare name, or a list of names, is the data set of that name with its defaults",
    )
    methods: Methods = Field(("avca", "cjme"), description="methods of benchmarks that name none")
    seeds: Seeds = Field((0, 1, 2), description="seeds of benchmarks that name none")
    preset: Preset = Field(
        "corrected", description="the papers' equations, or as_released: the released code's behaviour"
    )
    results: str = Field("results", min_length=1, description="folder of tables, features, runs and the report")
    data: str = Field("data", min_length=1, description="folder of downloads and media")
    cache: str | None = Field(
        None, description="a folder that projects and people share: features made once are taken from it by all"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="cuda asks for a GPU in every job that runs networks; cpu never uses one"
    )
    decoder: Literal["cpu", "cuda", "auto"] = Field(
        "cpu",
        description="what decodes pictures where a GPU extracts: cuda its decoder, auto both at once; the CPU takes what it does not (docs/gpu.md)",
    )
    gpu_jobs: int = Field(
        1,
        gt=0,
        description="jobs of extraction that may hold one GPU at a time, as under MPS or MIG; more are refused (docs/gpu.md)",
    )
    seeds_together: int | None = Field(
        None,
        gt=0,
        description="seeds of a method that are trained in one pass; null: 8 on a GPU, 1 on a CPU, where it saves nothing (docs/gpu.md)",
    )
    runs_together: bool = Field(
        False,
        description="runs of a benchmark that this machine makes share processes, which saves each its imports; jobs of a cluster do not (docs/speed.md)",
    )
    interim: bool = Field(
        False, description="score what is there: the shards whose features are finished, marked as interim everywhere"
    )
    only_shards: Annotated[str, Field(pattern=r"^[0-9]+-[0-9]+$")] | None = Field(
        None,
        description="first-last, such as 0-99: fetch and extract these shards alone, for `avzsl gather` on another machine",
    )
    tracking: Tracking = Field(
        "tensorboard",
        description="what shows training while it runs; none needs an account; wandb and mlflow are installed by who wants them",
    )

    @field_validator("benchmarks", mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        """Accept `demo`, `[demo, ucf]` and `{demo: }` for benchmarks that are their data set's defaults."""
        if isinstance(value, str):
            value = [name.strip() for name in value.split(",") if name.strip()]
        if isinstance(value, list):
            if any(not isinstance(name, str) for name in value):
                raise ValueError(
                    "give names, such as [demo, ucf], or keys and values, such as {mine: {dataset: demo}}; "
                    "a list of mappings is neither"
                )
            _each_once(tuple(value))
            value = dict.fromkeys(value)
        if isinstance(value, dict):
            value = {name: {"dataset": name} if body is None else body for name, body in value.items()}
        return value

    @field_validator("benchmarks")
    @classmethod
    def _names_apart(cls, value: dict[str, BenchmarkConfig]) -> dict[str, BenchmarkConfig]:
        _apart(value, "benchmarks")
        _apart(dict.fromkeys(body.dataset for body in value.values()), "data sets")
        return value


def _apart(names: Iterable[str], what: str) -> None:
    """Rules and targets are named with _ for -, so two names must differ in more than that."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.replace("-", "_"), name)
        if other != name:
            raise ValueError(f"the {what} {other} and {name} differ in - and _ only; rename one")
