"""What `run.json` and `benchmark.json` hold, key by key."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from avzsl.config.base import Preset
from avzsl.config.errors import first_line
from avzsl.contracts.errors import CorruptError
from avzsl.contracts.records import read_record, write_record

Percent = float | None


class Record(BaseModel):
    """A JSON record of the results folder; values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    def write(self, path: Path) -> None:
        """Write the record with its checksum, in one step."""
        write_record(path, self.model_dump(mode="json"))


R = TypeVar("R", bound=Record)


class Hashes(Record):
    """SHA-256 of the files that a benchmark was assembled from, 64 hex digits each."""

    features: str = Field("", description="packed.safetensors")
    split: str = Field("", description="split.parquet")
    embeddings: str = Field("", description="embeddings.safetensors")


class Scores(Record):
    """Mean per-class accuracies in percent (AVCA section 4.1); null where there is no such class."""

    seen: Percent = Field(None, description="S: accuracy on seen classes, all classes being candidates")
    unseen: Percent = Field(None, description="U: accuracy on unseen classes, all classes being candidates")
    hm: Percent = Field(None, description="HM: harmonic mean of S and U")
    zsl: Percent = Field(None, description="ZSL: accuracy on unseen classes among these alone")


class BenchmarkRecord(Record):
    """`benchmark.json`: what a benchmark was assembled from, and what became of its clips."""

    name: str = Field("", description="name in the configuration")
    hashes: Hashes = Field(default_factory=Hashes, description="the files it was assembled from")
    clips: dict[str, Any] = Field(default_factory=dict, description="listed and usable clips, of each subset and of all")
    interim: tuple[int, int] | None = Field(
        None, description="shards that it was assembled from, and all shards, where these were not all finished"
    )
    lost: dict[str, int] = Field(default_factory=dict, description="clips that cannot be used, by stage and status")
    classes: dict[str, Any] = Field(
        default_factory=dict, description="classes of each role; excluded_reasons: why a class was excluded"
    )
    chance: Scores = Field(default_factory=Scores, description="scores of a guess that is uniform over the candidates")
    checks: list[dict[str, Any]] = Field(
        default_factory=list, description="copies across subsets, still pictures, silent clips, in the form of an audit's checks"
    )
    dims: dict[str, int] = Field(default_factory=dict, description="width of the features: audio, visual, text")
    extractor: dict[str, Any] | None = Field(
        None, description="what made the features: name, windows, weights, random_weights, execution"
    )
    embeddings: dict[str, Any] | None = Field(None, description="what made the class embeddings: backend, table, sha256")
    named: dict[str, dict[str, list[str]]] | None = Field(
        None,
        description="open features only: label set that their networks were trained with -> class -> labels that name it",
    )

    @property
    def open(self) -> bool:
        """Whether the features come from networks whose training labels may name unseen classes."""
        return bool((self.extractor or {}).get("label_sets"))

    @property
    def random_weights(self) -> bool:
        """Whether the features come from networks that were never trained."""
        return bool((self.extractor or {}).get("random_weights"))


class BestBeta(Record):
    """What calibration could have given at best, looked up on the test clips: a bound, never a result."""

    hm: Percent = Field(None, description="HM in percent at the best of all beta")
    beta: float | None = Field(None, description="the beta that gives it")
    ausuc: float | None = Field(None, description="area under the curve of U over S, 0 to 1")


class RunRecord(Scores):
    """`run.json`: one method trained with one seed on one benchmark, and how it did on the test clips."""

    benchmark: str = Field("", description="name in the configuration")
    dataset: str = Field("", description="data set")
    split: str = Field("", description="split of the data set")
    features: str = Field("", description="feature set")
    preset: Preset = Field("corrected", description="corrected or as_released (docs/fidelity.md)")
    method: str = Field("", description="name of the method")
    seed: int = Field(0, description="of everything that is drawn")
    beta: float | None = Field(None, description="calibration chosen on validation, added to distances of seen classes")
    epoch: int | None = Field(None, description="epochs that stage 2 trained: the best of stage 1 on validation")
    chosen: dict[str, Any] = Field(default_factory=dict, description="options that the method chose on validation")
    search: list[Any] = Field(default_factory=list, description="every try of the search of hyper-parameters")
    seconds: float = Field(0.0, description="wall time of the run")
    config: dict[str, Any] = Field(
        default_factory=dict, description="method, options, training and preset, every default filled in"
    )
    config_hash: str = Field("", description="SHA-256 of what decides the result in `config`")
    hashes: Hashes = Field(default_factory=Hashes, description="of the files that the benchmark was assembled from")
    extractor: dict[str, Any] | None = Field(None, description="what made the features")
    embeddings: dict[str, Any] | None = Field(None, description="what made the class embeddings")
    chance: Scores = Field(default_factory=Scores, description="scores of a uniform guess")
    clips: dict[str, Any] = Field(default_factory=dict, description="listed and usable clips, of each subset and of all")
    per_class: dict[str, Percent] = Field(default_factory=dict, description="accuracy of each class in percent")
    classes_without_test_clips: list[str] = Field(default_factory=list, description="they take part in no mean")
    best_beta_on_test: BestBeta = Field(default_factory=BestBeta, description="a bound that uses the test clips")
    retrieval: dict[str, Any] | None = Field(
        None, description="mean average precision in percent by direction: seen, unseen, hm (CJME tables 3 and 4)"
    )
    outputs: dict[str, Scores] = Field(
        default_factory=dict, description="scores of the method's other outputs, at the same beta"
    )
    versions: dict[str, str] = Field(default_factory=dict, description="of avzsl, Python and what computes")
    hardware: dict[str, Any] = Field(default_factory=dict, description="device, machine and threads")


def read_run(path: Path, checked: bool = True) -> RunRecord:
    """Read `run.json`; raises DataError if it is not there, CorruptError if it is not as it was written.

    `checked` False takes what stands there, for whoever checks every number himself.
    """
    return _read(path, RunRecord, "a run", checked)


def read_benchmark(path: Path) -> BenchmarkRecord:
    """Read `benchmark.json`; raises DataError if it is not there, CorruptError if it is not as it was written."""
    return _read(path, BenchmarkRecord, "a benchmark")


def _read(path: Path, model: type[R], what: str, checked: bool = True) -> R:
    content = read_record(path, checked)
    try:
        # What an earlier version wrote besides is left aside.
        return model.model_validate({key: value for key, value in content.items() if key in model.model_fields})
    except ValidationError as error:
        problem = first_line("", error).removeprefix(": ")
        raise CorruptError(path, f"is not the record of {what} of this version ({problem}); run it again") from error
