"""One archive of a results folder: configuration, hashes, lists, predictions and distances; no media, no features, no model.

    bundle.json                             format, versions, configuration, SHA-256 of every other file
    benchmarks/B/benchmark.json, clips.parquet, classes.parquet
    benchmarks/B/runs/METHOD/seed-N/run.json, history.parquet, predictions.parquet, scores.safetensors

Whoever opens a bundle computes every score once more and believes none that stands in it.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from avzsl import __version__
from avzsl.config.load import Project
from avzsl.contracts.atomic import replacing
from avzsl.contracts.errors import AvzslError, DataError
from avzsl.contracts.hashing import sha256_file, sha256_value
from avzsl.contracts.records import read_record, write_record
from avzsl.contracts.schemas import BENCHMARK_CLASSES, BENCHMARK_CLIPS, PREDICTIONS
from avzsl.contracts.tables import read_table
from avzsl.evaluation import recompute
from avzsl.results.places import Places, RunPlaces
from avzsl.results.project import outline_of
from avzsl.results.records import read_benchmark, read_run

FORMAT = 1
RECORD = "bundle.json"
TESTED = ("test_seen", "test_unseen")
_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*"
_FILE = re.compile(
    rf"benchmarks/{_NAME}/(benchmark\.json|clips\.parquet|classes\.parquet|runs/{_NAME}/seed-\d+/"
    r"(run\.json|history\.parquet|predictions\.parquet|scores\.safetensors))"
)
# What a bundle may hold: VGGSound's 12,482 test clips and 276 classes are 14 MB of distances a run.
MAX_FILES, MAX_BYTES, MAX_ROWS = 20_000, 1 << 34, 5_000_000
# The one time of all members, so that equal results give equal bytes.
_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Run:
    """A run whose scores were computed from its predictions: S, U, HM and ZSL in percent."""

    benchmark: str
    method: str
    seed: int
    record: dict[str, Any]
    scores: dict[str, float | None]
    predictions: pd.DataFrame


@dataclass(frozen=True)
class Task:
    """What a benchmark of a bundle asks: which clips are tested, among which classes, by which split."""

    dataset: str
    split: str
    clips: pd.DataFrame  # clip_id, class_name, subset of all listed clips, and whether each is usable
    roles: dict[str, str]

    @cached_property
    def hash(self) -> str:
        """SHA-256 over tested clips, classes with their roles, and the subset of every listed clip."""
        tested = self.tested[["clip_id", "class_name", "subset"]].to_numpy().tolist()
        split = self.clips.sort_values("clip_id")[["clip_id", "subset"]].to_numpy().tolist()
        return sha256_value({"tested": tested, "classes": sorted(self.roles.items()), "split": split})

    @cached_property
    def tested(self) -> pd.DataFrame:
        """The rows of the clips that are tested on, sorted."""
        chosen = self.clips[self.clips["usable"] & self.clips["subset"].isin(TESTED)]
        return chosen.sort_values("clip_id", ignore_index=True)


@dataclass(frozen=True)
class Bundle:
    """A verified bundle."""

    name: str
    record: dict[str, Any]
    tasks: dict[str, Task]  # by benchmark
    runs: list[Run]


def write_bundle(project: Project, out: Path) -> list[str]:
    """Write the bundle of a project's finished runs; return the names of its runs.

    Raises AvzslError if no run is finished, DataError if a score does not follow from the files of its run.
    """
    places = Places(Path(project.config.results))
    files: dict[str, Path] = {}
    runs: list[str] = []
    for name, benchmark in project.benchmarks.items():
        there = [(m, s) for m in benchmark.methods for s in benchmark.seeds if places.run(name, m, s).record.is_file()]
        if not there:
            continue
        for path in (places.benchmark_record(name), places.benchmark_clips(name), places.benchmark_classes(name)):
            files[f"benchmarks/{name}/{path.name}"] = path
        for method, seed in there:
            run = places.run(name, method, seed)
            recompute(run.folder)
            for path in (run.record, run.history, run.predictions, run.scores):
                files[f"benchmarks/{name}/runs/{method}/seed-{seed}/{path.name}"] = path
            runs.append(f"{name}/{method}/seed-{seed}")
    if not runs:
        raise AvzslError(f"{places.results}: no run is finished here; run snakemake first")
    names = sorted({run.split("/")[0] for run in runs})
    record = {
        "format": FORMAT, "avzsl": __version__, "configuration": outline_of(project, names),
        "files": {name: sha256_file(path) for name, path in files.items()},
    }  # fmt: skip
    with replacing(out) as temporary, tempfile.TemporaryDirectory() as scratch:
        write_record(Path(scratch) / RECORD, record)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, path in [(RECORD, Path(scratch) / RECORD), *sorted(files.items())]:
                info = zipfile.ZipInfo(name, _TIME)
                info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                with path.open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target, 1 << 20)
    return runs


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Bundle]:
    """Unpack a bundle into a folder that is thrown away, verify it and yield it.

    Raises DataError, one sentence, for a damaged or foreign archive, a file that is missing, not named in the bundle or
    not as it was, a score that does not follow from predictions and distances, and predictions for other clips than
    those that the benchmark tests.
    """
    with tempfile.TemporaryDirectory(prefix="avzsl-bundle-") as scratch:
        folder = Path(scratch)
        try:
            _unpack(path, folder)
            yield _read(path, folder)
        except DataError as error:
            # The folder that is thrown away says nothing to the reader.
            raise DataError(path, str(error).replace(f"{folder}/", "").removeprefix(f"{path}: ")) from error


def _unpack(path: Path, folder: Path) -> None:
    if not path.is_file():
        raise DataError(path, "there is no such file; `avzsl bundle` writes one")
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if len(infos) > MAX_FILES or sum(info.file_size for info in infos) > MAX_BYTES:
                raise DataError(
                    path, f"holds more than {MAX_FILES} files or {MAX_BYTES} bytes; no results are so large"
                )
            if len({info.filename for info in infos}) != len(infos):
                raise DataError(path, "holds a file twice")
            for info in infos:
                if info.filename != RECORD and not _FILE.fullmatch(info.filename):
                    raise DataError(path, f"holds {info.filename[:100]!r}, which is no part of a bundle")
                target = folder / info.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as source, target.open("wb") as stream:
                    shutil.copyfileobj(source, stream, 1 << 20)
    except (OSError, EOFError, RuntimeError, NotImplementedError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(path, f"is not a whole bundle of `avzsl bundle` ({error})") from error


def _read(path: Path, folder: Path) -> Bundle:
    record = read_record(folder / RECORD)
    if record.get("format") != FORMAT or not isinstance(record.get("files"), dict):
        raise DataError(path, f"has format {record.get('format')!r}; this avzsl reads {FORMAT}")
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {RECORD}
    odd = sorted(there ^ set(record["files"]))
    if odd:
        raise DataError(path, f"{odd[0]} is {'not named in' if odd[0] in there else 'missing from'} the bundle")
    for run_folder in sorted({name.rpartition("/")[0] for name in there if "/runs/" in name}):
        for part in ("run.json", "history.parquet", "predictions.parquet", "scores.safetensors"):
            if f"{run_folder}/{part}" not in there:
                raise DataError(path, f"{run_folder}/{part} is missing from the bundle")
    for name, digest in record["files"].items():
        if sha256_file(folder / name) != digest:
            raise DataError(path, f"{name} is not as it was when the bundle was made")
        if name.endswith(".parquet") and pq.read_metadata(folder / name).num_rows > MAX_ROWS:
            raise DataError(path, f"{name} has more than {MAX_ROWS} rows")
    places, tasks, runs = Places(folder), {}, []
    for name, method, seed in places.runs():
        run = places.run(name, method, seed)
        own = _run(run, name, method, seed)
        if name not in tasks:
            tasks[name] = _task(places, name, own)
        _check(run, own, tasks[name], places)
        runs.append(own)
    if not runs:
        raise DataError(path, "holds no run")
    return Bundle(path.stem, record, tasks, runs)


def _run(run: RunPlaces, benchmark: str, method: str, seed: int) -> Run:
    result = recompute(run.folder)
    record = read_run(run.record)
    if (record.benchmark, record.method, record.seed) != (benchmark, method, seed):
        raise DataError(run.record, f"is of {record.benchmark}/{record.method}/seed-{record.seed}")
    scores = {metric: result[metric] for metric in ("seen", "unseen", "hm", "zsl")}
    return Run(benchmark, method, seed, record.model_dump(), scores, read_table(run.predictions, PREDICTIONS))


def _task(places: Places, name: str, run: Run) -> Task:
    clips = read_table(places.benchmark_clips(name), BENCHMARK_CLIPS)
    classes = read_table(places.benchmark_classes(name), BENCHMARK_CLASSES)
    roles = {str(c): str(r) for c, r in classes[["class_name", "role"]].to_numpy()}
    return Task(run.record["dataset"], run.record["split"], clips, roles)


def _check(run: RunPlaces, own: Run, task: Task, places: Places) -> None:
    """Raise DataError if a run was not tested on what its benchmark tests."""
    columns = ["clip_id", "class_name", "subset"]
    tested = own.predictions.sort_values("clip_id", ignore_index=True)[columns]
    if tested.to_numpy().tolist() != task.tested[columns].to_numpy().tolist():
        raise DataError(run.predictions, "holds other clips, classes or subsets than its benchmark tests")
    if own.record["hashes"] != read_benchmark(places.benchmark_record(own.benchmark)).hashes.model_dump():
        raise DataError(run.record, "was made of other features, split or class embeddings than its benchmark")
