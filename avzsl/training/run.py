"""One run: a method, a benchmark, a seed; from files to files."""

from __future__ import annotations

import importlib.metadata
import logging
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import avzsl
from avzsl.benchmark import BenchmarkData, Subset, load
from avzsl.benchmark.data import TEST, TRAIN_SUBSETS
from avzsl.config.load import Benchmark, Method
from avzsl.config.methods import Option, TrainingConfig
from avzsl.config.project import Tracking
from avzsl.contracts.arrays import write_arrays
from avzsl.contracts.errors import AvzslError, ConfigError
from avzsl.contracts.hashing import sha256_value
from avzsl.contracts.schemas import HISTORY, PREDICTIONS
from avzsl.contracts.tables import write_table
from avzsl.evaluation import Calibration
from avzsl.evaluation.retrieval import HostRanking, Ranking, retrieve
from avzsl.methods import Dims, build
from avzsl.methods import Method as MethodModule
from avzsl.results.places import RunPlaces
from avzsl.results.records import BestBeta, RunRecord, Scores, read_run
from avzsl.runtime.accelerator import accelerator, choose_device, losses
from avzsl.runtime.locks import waiting
from avzsl.runtime.progress import progress
from avzsl.training.evaluate import columns, distances, embeddings
from avzsl.training.live import live
from avzsl.training.protocol import Job, train
from avzsl.training.ranking import DeviceRanking
from avzsl.training.sampling import DeviceData
from avzsl.training.search import Found, search
from avzsl.training.together import ON_A_GPU, train_together, why_not

logger = logging.getLogger(__name__)


def run(
    folder: Path,
    pack: Path,
    vectors: Path,
    method: Method,
    benchmark: Benchmark,
    seed: int,
    out: Path,
    device: str = "auto",
    threads: int = 1,
    tracking: Tracking = "none",
    steps: Path | None = None,
    together: Sequence[tuple[int, Path]] = (),
    most_together: int | None = None,
    written: Path | None = None,
    unless_finished: bool = False,
) -> bool:
    """Train `method` in two stages with `seed` and write its run to the folder `out`.

    `folder` is what `avzsl.benchmark.assemble` wrote, `pack` the packed features, `vectors` the class embeddings;
    `steps` the steps of the same features, which a method of sequences needs.
    Writes history.parquet, predictions.parquet, scores.safetensors, model.safetensors and, last, run.json. A run that
    was stopped continues from `out`/checkpoint.pt to the identical result on the same machine. `tracking` shows the
    epochs while they pass and changes no result. `together` are the other seeds of the method here and their folders: those
    that have no run of these settings yet are trained with this one, in one pass of `most_together` seeds (null: 8 on a GPU,
    1 on a CPU), and find their checkpoint at the end (`avzsl.training.together`). `written` is another folder for the five files;
    what belongs to the training, such as the checkpoint, stays in `out`. `unless_finished`: do nothing where `out` has a run of
    these settings and data. Returns whether the run was made.
    Raises DataError for bad input and ConfigError for a wrong option, both before training starts.
    """
    started = time.monotonic()
    torch.set_num_threads(threads)
    place = choose_device(device)
    training = method.training.under(benchmark.preset)
    sequences = method.config.inputs == "sequences"
    if sequences and steps is None:
        raise ConfigError(f"method {method.name}: is trained on sequences, but no file of steps was given")
    data = load(folder, pack, vectors, str(training.class_rows), steps if sequences else None)
    training = training.for_clips(len(data.subset(*TRAIN_SUBSETS[1])))
    config: dict[str, Any] = {
        "method": method.name,
        "options": method.options,
        "training": training.model_dump(),
        "preset": benchmark.preset,
    }
    dims = Dims(data.audio.shape[1], data.visual.shape[1], data.vectors.shape[1])
    # How often checkpoints are written changes no result.
    decisive = {**config, "training": training.model_dump(exclude={"checkpoint_seconds"})}

    def mark(seed: int) -> str:
        return sha256_value([decisive, data.record.hashes.model_dump(), seed, torch.__version__, str(place)])

    if unless_finished and _finished(RunPlaces(out), sha256_value(decisive), data):
        return False
    fingerprint = mark(seed)
    out.mkdir(parents=True, exist_ok=True)
    files = RunPlaces(written or out)
    saved = RunPlaces(out).checkpoint
    devices = [place] if place.type == "cuda" else []
    with (
        torch.random.fork_rng(devices),
        progress(f"{method.name} seed {seed}", 2 * training.epochs, "epochs") as ticker,
    ):
        source = DeviceData(data, place, training.precision)

        def make(options: dict[str, Option]) -> MethodModule:
            model = build(method.config.module, dims, options)
            if model.inputs != method.config.inputs:
                raise ConfigError(
                    f"method {method.name}: inputs: its module takes {model.inputs}, its YAML says {method.config.inputs}"
                )
            return model

        def job(options: dict[str, Option], tried: TrainingConfig, path: Path, mark: str) -> Job:
            return Job(lambda: make(options), source, tried, seed, path, mark)

        found = Found(method.options, training, [])
        if training.search_trials:
            found = search(method, training, job, out, fingerprint, seed)
            config |= {"options": found.options, "training": found.training.model_dump()}
        others = [
            (s, f)
            for s, f in together
            if s != seed
            and not any(_finished(made, sha256_value(decisive), data) for made in (RunPlaces(f), RunPlaces(f).ahead))
        ]
        team = [
            Job(lambda: make(found.options), source, found.training, s, RunPlaces(f).checkpoint, mark(s))
            for s, f in [(seed, out), *others]
        ]
        _train_with(team, most_together, make(found.options), place, f"{benchmark.name} {method.name}")
        title = f"{benchmark.name} {method.name} seed {seed}"
        with (
            live(tracking, out, title, {**config, "benchmark": benchmark.name, "seed": seed}) as watch,
            losses("training"),
        ):
            model, done = train(job(found.options, found.training, saved, fingerprint), ticker, watch)
        subset, (members, seen) = data.subset(*TEST), data.candidates(2)
        by_output = distances(model, source, subset, members, found.training)
        points = embeddings(model, source, subset, members, found.training)
    matrix = by_output[model.reported].astype(np.float32, copy=False)
    calibration = Calibration(matrix, columns(subset.labels, members), seen)
    scores = calibration.at(done.beta)

    history = pd.DataFrame(done.history)
    write_table(files.history, history, HISTORY)
    _write_predictions(files.predictions, data, subset, calibration, members, done.beta)
    names = [data.class_names[c] for c in members]
    header = {"clip_ids": list(subset.clip_ids), "class_names": names, "seen": seen.astype(int).tolist()}
    write_arrays(files.scores, {"distances": matrix, **points}, header)
    state = {key: value.cpu().numpy() for key, value in model.state_dict().items()}
    write_arrays(files.model, state, {"config": config, "dims": asdict(dims)})
    recall = calibration.recall(done.beta)
    RunRecord(
        benchmark=benchmark.name,
        dataset=benchmark.dataset,
        split=benchmark.split,
        features=benchmark.features,
        preset=benchmark.preset,
        method=method.name,
        seed=seed,
        **_percents(scores),
        beta=done.beta,
        epoch=done.epoch,
        chosen=model.chosen,
        search=found.log,
        seconds=time.monotonic() - started,
        config=config,
        config_hash=sha256_value(decisive),
        hashes=data.record.hashes,
        extractor=data.record.extractor,
        embeddings=data.record.embeddings,
        chance=data.chance,
        clips=data.record.clips,
        per_class={n: _percent(float(r)) for n, r in zip(names, recall, strict=True)},
        classes_without_test_clips=[names[c] for c in calibration.empty],
        best_beta_on_test=_best_beta(calibration),
        retrieval=retrieve(points, calibration.labels, seen, matrix, _ranking(place)),
        outputs={
            key: Scores(**_percents(Calibration(d, calibration.labels, seen).at(done.beta)))
            for key, d in by_output.items()
            if key != model.reported
        },
        versions=_versions(),
        hardware={"device": _device_name(place), "machine": platform.machine(), "threads": threads},
    ).write(files.record)
    saved.unlink(missing_ok=True)
    return True


def _train_with(team: list[Job], most: int | None, method: MethodModule, place: torch.device, label: str) -> None:
    """Train the first seed of a team in one pass with others, where that can be; who comes meanwhile waits for it."""
    most = most or (ON_A_GPU if place.type == "cuda" else 1)
    if most == 1 or why_not(method, team[0].training) is not None:
        return
    with waiting(team[0].checkpoint.parent.parent / ".together.lock"):
        try:
            with losses("training"):
                train_together(team[:most], accelerator(place), label)
        except torch.OutOfMemoryError:
            logger.warning("the GPU's memory does not hold %d seeds: one after the other", len(team[:most]))
            accelerator(place).forget()


def _finished(places: RunPlaces, config_hash: str, data: BenchmarkData) -> bool:
    """Return whether a folder has a run of these settings and these data."""
    try:
        record = read_run(places.record)
    except AvzslError:
        return False
    return (record.config_hash, record.hashes) == (config_hash, data.record.hashes)


def _ranking(place: torch.device) -> Ranking:
    return HostRanking() if place.type == "cpu" else DeviceRanking(place)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _percent(share: float | None) -> float | None:
    return None if share is None or np.isnan(share) else 100.0 * share


def _versions() -> dict[str, str]:
    packages = ("torch", "numpy", "pandas")
    return {
        "avzsl": avzsl.__version__,
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in packages},
    }


def _percents(scores: Any) -> dict[str, float | None]:
    return {key: _percent(getattr(scores, key)) for key in ("seen", "unseen", "hm", "zsl")}


def _best_beta(calibration: Calibration) -> BestBeta:
    best = calibration.best_exact()
    return BestBeta(hm=_percent(best.hm), beta=best.beta, ausuc=calibration.area())


def _write_predictions(
    path: Path, data: BenchmarkData, subset: Subset, calibration: Calibration, members: np.ndarray, beta: float
) -> None:
    names = np.asarray(data.class_names, dtype=object)
    unseen = np.asarray([name == "test_unseen" for name in subset.subsets])
    among_unseen = names[members[calibration.predict_unseen()]]
    frame = pd.DataFrame(
        {
            "clip_id": subset.clip_ids,
            "class_name": names[subset.labels],
            "subset": subset.subsets,
            "predicted": names[members[calibration.predict(beta)]],
            "predicted_zsl": np.where(unseen, among_unseen, None),
        }
    )
    write_table(path, frame, PREDICTIONS)
