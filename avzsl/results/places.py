"""Where files are. Rules, commands and readers ask here; nobody else joins a path of the results folder.

Names may be wildcards of Snakemake (`{dataset}`): the rules ask for their patterns in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

# Snakemake's log and benchmark files lie here, in the working directory.
LOGS = Path("logs")


def shard_name(shard: int) -> str:
    """Return how files of a shard are called: 0007."""
    return f"{shard:04d}"


def feature_costs(dataset: str, features: str, shards: int) -> list[Path]:
    """Return the files in which Snakemake notes what each shard's extraction cost; imported features have none."""
    return [LOGS / dataset / "features" / features / f"{shard_name(shard)}.benchmark.tsv" for shard in range(shards)]


def run_costs(benchmark: str, methods: Iterable[str], seeds: Iterable[int]) -> list[Path]:
    """Return the files in which Snakemake notes what each run cost."""
    folder, all_seeds = LOGS / "benchmarks" / benchmark, list(seeds)
    return [folder / f"{method}-seed-{seed}.benchmark.tsv" for method in methods for seed in all_seeds]


@dataclass(frozen=True)
class Places:
    """The folders of a project: `results`, for what is made, and `data`, for what is fetched."""

    results: Path
    data: Path = Path("data")

    # The whole project.

    @property
    def project(self) -> Path:
        """The project that the folder was built from (`avzsl.results.project`)."""
        return self.results / "project.json"

    @property
    def lock(self) -> Path:
        """Held by the run that writes to the folder."""
        return self.results / ".lock"

    @property
    def table(self) -> Path:
        """One row a benchmark and method."""
        return self.results / "benchmark.csv"

    @property
    def table_text(self) -> Path:
        """The same for people."""
        return self.results / "benchmark.txt"

    @property
    def runs_table(self) -> Path:
        """One row a run."""
        return self.results / "runs.csv"

    @property
    def page(self) -> Path:
        return self.results / "report" / "index.html"

    @property
    def tables(self) -> Path:
        """The folder of the papers' tables."""
        return self.results / "tables"

    @property
    def predictions(self) -> Path:
        """The folder of pages that `avzsl predict --html` writes."""
        return self.results / "predictions"

    # A data set.

    def dataset(self, dataset: str) -> Path:
        return self.results / dataset

    def catalog_clips(self, dataset: str) -> Path:
        return self.results / dataset / "catalog" / "clips.parquet"

    def catalog_classes(self, dataset: str) -> Path:
        return self.results / dataset / "catalog" / "classes.parquet"

    def catalog_notes(self, dataset: str) -> Path:
        return self.results / dataset / "catalog" / "catalog.json"

    def catalogued(self, dataset: str) -> Path:
        """An empty file: the shards of the catalogue are there."""
        return self.results / dataset / "catalog" / "done"

    def clips(self, dataset: str, shard: str) -> Path:
        """The clips of one shard that are fetched."""
        return self.results / dataset / "catalog" / "shards" / f"{shard}.parquet"

    def shard_tables(self, dataset: str) -> list[Path]:
        """Return the clips of the shards that are there."""
        return sorted((self.results / dataset / "catalog" / "shards").glob("*.parquet"))

    def used(self, dataset: str) -> Path:
        """How many of the listed clips are fetched, and for which splits."""
        return self.results / dataset / "catalog" / "used.json"

    def manifest(self, dataset: str, shard: str) -> Path:
        """The MEDIA table of one shard."""
        return self.results / dataset / "media" / f"{shard}.parquet"

    def manifests(self, dataset: str) -> list[Path]:
        """Return the MEDIA tables that are there."""
        return sorted((self.results / dataset / "media").glob("*.parquet"))

    def embeddings(self, dataset: str) -> Path:
        return self.results / dataset / "embeddings.safetensors"

    def split(self, dataset: str, split: str) -> Path:
        return self.results / dataset / "splits" / split

    def split_clips(self, dataset: str, split: str) -> Path:
        return self.split(dataset, split) / "split.parquet"

    def split_classes(self, dataset: str, split: str) -> Path:
        return self.split(dataset, split) / "classes.parquet"

    def audit(self, dataset: str, split: str) -> Path:
        return self.split(dataset, split) / "audit.json"

    def audit_page(self, dataset: str, split: str) -> Path:
        return self.split(dataset, split) / "audit.md"

    def features(self, dataset: str, features: str) -> Path:
        return self.results / dataset / "features" / features

    def audio_network(self, dataset: str, features: str) -> Path:
        """The weights of a network that is trained before extraction, where a feature set asks for it."""
        return self.features(dataset, features) / "audio_network.safetensors"

    def audio_network_record(self, dataset: str, features: str) -> Path:
        """How its training went."""
        return self.features(dataset, features) / "audio_network.json"

    def shard_arrays(self, dataset: str, features: str, shard: str) -> Path:
        return self.features(dataset, features) / "shards" / f"{shard}.safetensors"

    def shard_manifest(self, dataset: str, features: str, shard: str) -> Path:
        return self.features(dataset, features) / "shards" / f"{shard}.parquet"

    def imported_arrays(self, dataset: str, features: str) -> Path:
        """Features that existed already, as one shard of all clips."""
        return self.features(dataset, features) / "imported.safetensors"

    def imported_manifest(self, dataset: str, features: str) -> Path:
        return self.features(dataset, features) / "imported.parquet"

    def pack(self, dataset: str, features: str) -> Path:
        """The averages of all clips."""
        return self.features(dataset, features) / "packed.safetensors"

    def pack_manifest(self, dataset: str, features: str) -> Path:
        return self.features(dataset, features) / "packed.parquet"

    def steps(self, dataset: str, features: str) -> Path:
        """Steps of all clips of the pack; only where a method asks for sequences."""
        return self.features(dataset, features) / "steps.safetensors"

    # A benchmark.

    def benchmark(self, benchmark: str) -> Path:
        return self.results / "benchmarks" / benchmark

    def benchmark_clips(self, benchmark: str) -> Path:
        return self.benchmark(benchmark) / "clips.parquet"

    def benchmark_classes(self, benchmark: str) -> Path:
        return self.benchmark(benchmark) / "classes.parquet"

    def benchmark_record(self, benchmark: str) -> Path:
        return self.benchmark(benchmark) / "benchmark.json"

    def benchmark_table(self, benchmark: str) -> Path:
        """One row a method, of this benchmark alone."""
        return self.benchmark(benchmark) / "results.csv"

    def run(self, benchmark: str, method: str, seed: int | str) -> RunPlaces:
        return RunPlaces(self.benchmark(benchmark) / "runs" / method / f"seed-{seed}")

    # Whatever is there, of whichever project.

    def datasets(self) -> list[str]:
        """Return the data sets that have MEDIA tables."""
        return sorted({path.parents[1].name for path in self.results.glob("*/media/*.parquet")})

    def runs(self) -> list[tuple[str, str, int]]:
        """Return benchmark, method and seed of the runs that have predictions."""
        found = []
        for path in sorted(self.results.glob("benchmarks/*/runs/*/seed-*/predictions.parquet")):
            benchmark, method, seed = path.parts[-5], path.parts[-3], path.parts[-2].removeprefix("seed-")
            if seed.isdigit():
                found.append((benchmark, method, int(seed)))
        return found

    # What is fetched.

    @property
    def state(self) -> Path:
        """Pace, budget and cool-down of each site, shared by all processes."""
        return self.data / "state"

    @property
    def weights(self) -> Path:
        """Downloaded network weights."""
        return self.data / "weights"

    def metadata(self, dataset: str) -> Path:
        """What a catalogue downloaded."""
        return self.data / dataset / "metadata"

    def media(self, dataset: str, shard: str) -> Path:
        """The media files of one shard."""
        return self.data / dataset / "media" / shard

    def archives(self, dataset: str) -> Path:
        """Archives, unpacked once for all shards."""
        return self.data / dataset / "archives"


@dataclass(frozen=True)
class RunPlaces:
    """The files of one run in its folder."""

    folder: Path

    @property
    def record(self) -> Path:
        """`RunRecord`; written last."""
        return self.folder / "run.json"

    @property
    def history(self) -> Path:
        return self.folder / "history.parquet"

    @property
    def predictions(self) -> Path:
        return self.folder / "predictions.parquet"

    @property
    def scores(self) -> Path:
        return self.folder / "scores.safetensors"

    @property
    def model(self) -> Path:
        return self.folder / "model.safetensors"

    @property
    def checkpoint(self) -> Path:
        """There while the run trains."""
        return self.folder / "checkpoint.pt"

    @property
    def ahead(self) -> RunPlaces:
        """The same files where another run's job made them ahead of this run's own, until that moves them into place."""
        return RunPlaces(self.folder / "ahead")

    @property
    def made_ahead(self) -> Path:
        """What the files in `ahead` are of, and their checksums."""
        return self.folder / "ahead" / "ahead.json"

    @property
    def lock(self) -> Path:
        """Held by the process that makes the run, where runs share processes."""
        return self.folder.with_name(f".{self.folder.name}.lock")

    @property
    def benchmark(self) -> Path:
        """The folder of the benchmark that the run belongs to."""
        return self.folder.parents[2]

    @property
    def benchmark_clips(self) -> Path:
        return self.benchmark / "clips.parquet"

    @property
    def all(self) -> tuple[Path, ...]:
        """Everything that a finished run leaves."""
        return self.record, self.history, self.predictions, self.scores, self.model
