"""Count what is finished, what failed and why, and how fast it goes."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from avzsl.config.dataset import DatasetConfig
from avzsl.config.load import Benchmark, Project
from avzsl.contracts.errors import DataError
from avzsl.contracts.records import read_record
from avzsl.inspect.usage import Usage, usage_of
from avzsl.results.places import LOGS, Places, feature_costs, run_costs, shard_name
from avzsl.runtime.jobs import holder


@dataclass(frozen=True)
class Stage:
    """One stage of one data set or benchmark."""

    name: str
    of: str  # the data set or benchmark
    done: int
    total: int
    unit: str
    rows: Counter[str] = field(default_factory=Counter)  # status of its clips, where it has clips
    usage: Usage = field(default_factory=Usage)
    rate: float | None = None  # finished a second, in this run; None: cannot be told
    left_s: float | None = None  # estimated wall time to the end; None: cannot be told

    @property
    def failed(self) -> dict[str, int]:
        """Return the clips that did not end in ok, most frequent reason first."""
        return {status: count for status, count in self.rows.most_common() if status != "ok"}


@dataclass(frozen=True)
class Status:
    """The whole project."""

    stages: tuple[Stage, ...]
    holder: str | None  # who runs it now, "process on host"
    unreadable: tuple[Path, ...]
    used: dict[str, tuple[int, int]] = field(default_factory=dict)  # data set -> clips fetched, clips listed

    @property
    def gpu_s(self) -> float | None:
        """Return the GPU seconds of all finished jobs; None if no job's benchmark file tells."""
        known = [stage.usage.gpu_s for stage in self.stages if stage.usage.gpu_s is not None]
        return sum(known) if known else None


def read_status(project: Project, folder: Path = Path()) -> Status:
    """Read the state of `project` from its results and logs below the working directory `folder`.

    Unreadable manifests are listed, never fatal: a run in progress may be replacing them.
    """
    places = Places(folder / project.config.results, folder / project.config.data)
    held = holder(places.lock)
    since = places.lock.stat().st_mtime if held else None
    reader = _Reader(places, folder, since)
    stages: list[Stage] = []
    for dataset in sorted({b.dataset for b in project.benchmarks.values()}):
        feature_sets = sorted({b.features for b in project.benchmarks.values() if b.dataset == dataset})
        stages += reader.dataset(dataset, project.dataset(dataset), feature_sets)
    stages += [reader.runs(benchmark) for benchmark in project.benchmarks.values()]
    stages.append(Stage("report", "", int(places.page.is_file()), 1, "page"))
    return Status(tuple(stages), held, tuple(reader.unreadable), reader.used)


class _Reader:
    def __init__(self, places: Places, folder: Path, since: float | None) -> None:
        self.places, self.folder, self.since = places, folder, since
        self.unreadable: list[Path] = []
        self.used: dict[str, tuple[int, int]] = {}

    def dataset(self, name: str, config: DatasetConfig, feature_sets: list[str]) -> list[Stage]:
        places, logs = self.places, self.folder / LOGS / name
        shards = config.shards * config.media.parts
        numbers = [shard_name(shard) for shard in range(shards)]
        stages = [Stage("catalog", name, int(places.catalog_clips(name).is_file()), 1, "table")]
        self.used |= _used(places.used(name), name)
        media = [places.manifest(name, number) for number in numbers]
        stages.append(
            self._stage("media", name, media, "shards", [logs / "media" / f"{n}.benchmark.tsv" for n in numbers])
        )
        for feature_set in feature_sets:
            made = [places.shard_manifest(name, feature_set, number) for number in numbers]
            costs = [self.folder / path for path in feature_costs(name, feature_set, shards)]
            stages.append(self._stage(f"features {feature_set}", name, made, "shards", costs))
            packed = int(places.pack_manifest(name, feature_set).is_file())
            stages.append(Stage(f"pack {feature_set}", name, packed, 1, "table"))
        return stages

    def runs(self, benchmark: Benchmark) -> Stage:
        pairs = [(method, seed) for method in benchmark.methods for seed in benchmark.seeds]
        places = [self.places.run(benchmark.name, method, seed) for method, seed in pairs]
        made = [own.record if own.record.is_file() else own.ahead.record for own in places]
        costs = [self.folder / path for path in run_costs(benchmark.name, benchmark.methods, benchmark.seeds)]
        return self._stage("runs", benchmark.name, made, "runs", costs)

    def _stage(self, name: str, of: str, made: list[Path], unit: str, costs: list[Path]) -> Stage:
        times = [path.stat().st_mtime for path in made if path.is_file()]
        rows: Counter[str] = Counter()
        for path in made:
            if path.suffix == ".parquet" and path.is_file():
                rows.update(self._statuses(path))
        rate = _rate(times, self.since)
        left = 0.0 if len(times) == len(made) else (len(made) - len(times)) / rate if rate else None
        return Stage(name, of, len(times), len(made), unit, rows, usage_of(costs), rate, left)

    def _statuses(self, path: Path) -> list[str]:
        try:
            return pq.ParquetFile(path).read(columns=["status"]).column("status").to_pylist()
        except (pa.ArrowException, OSError, KeyError, ValueError):
            self.unreadable.append(path)
            return []


def _used(path: Path, name: str) -> dict[str, tuple[int, int]]:
    try:
        record = read_record(path)
        return {name: (int(record["used"]), int(record["listed"]))}
    except (DataError, KeyError, TypeError, ValueError):
        return {}


def _rate(times: list[float], since: float | None) -> float | None:
    """Return how many parts a second this run has finished so far; None without a run or a finished part.

    Jobs work side by side, so the rate is that of finished parts since the run began, whatever one part takes.
    """
    recent = sum(1 for moment in times if since is not None and moment >= since)
    if since is None or not recent or time.time() <= since:  # a clock that was set back
        return None
    return recent / (time.time() - since)
