"""Clips -> features -> distances to phrases, with the networks and the model of one run."""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from avzsl.config.features import FeaturesConfig
from avzsl.config.load import Project
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.errors import AvzslError, DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.contracts.schemas import BENCHMARK_CLASSES, MEDIA
from avzsl.contracts.streams import Stream, read_streams
from avzsl.contracts.tables import read_table
from avzsl.contracts.vocabulary import MODALITIES
from avzsl.embeddings import embed_classes
from avzsl.methods import Dims, Method, Steps, build
from avzsl.predict.seconds import means, moments, steps_of
from avzsl.predict.seconds import whole as over_all
from avzsl.results.places import Places, RunPlaces
from avzsl.results.records import RunRecord, read_run
from extractors import extract_shard
from extractors.base import with_trained

logger = logging.getLogger(__name__)

# Steps of a clip that a method of sequences sees at once: of a longer clip the middle.
LONGEST = 1000


@dataclass(frozen=True)
class Prediction:
    """What one clip was recognised as."""

    clip: str
    status: str  # ok, or why there are no features: one of FEATURE_STATUS
    reason: str | None
    order: tuple[int, ...]  # labels from the nearest to the farthest
    distances: tuple[float, ...]  # of the whole clip to each label, calibrated, in the order of the labels
    seconds: tuple[tuple[float, float], ...]  # start and end of each moment that has a score
    by_second: tuple[tuple[float, ...], ...]  # (moments, labels) distances of single moments
    # Taggers' labels that speak most for the nearest phrase, with their probabilities, by `heard` and `seen`.
    evidence: dict[str, tuple[tuple[str, float], ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Predictions:
    """All clips of one call, and what was asked of whom."""

    labels: tuple[str, ...]
    seen: tuple[bool, ...]  # labels that are classes the run was trained on
    run: str  # empty without one
    method: str
    beta: float  # added to the distances of seen labels; 0 where all labels are of one kind
    random_weights: bool
    clips: tuple[Prediction, ...]
    # What distances are multiplied with before their softmax; cosines differ by less than trained distances do.
    sharpness: float = 1.0

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON-like values, labels ranked."""
        return {
            "run": self.run, "method": self.method, "beta": self.beta, "random_weights": self.random_weights,
            "labels": [{"label": label, "seen": seen} for label, seen in zip(self.labels, self.seen, strict=True)],
            "clips": [
                {
                    "clip": clip.clip, "status": clip.status, "reason": clip.reason,
                    "evidence": {
                        how: [{"label": label, "probability": p} for label, p in found] for how, found in clip.evidence.items()
                    },
                    "ranking": [{"label": self.labels[i], "distance": clip.distances[i]} for i in clip.order],
                    "seconds": [
                        {"start": start, "end": end, "distances": dict(zip(self.labels, row, strict=True))}
                        for (start, end), row in zip(clip.seconds, clip.by_second, strict=True)
                    ],
                }
                for clip in self.clips
            ],
        }  # fmt: skip


def predict(
    project: Project, run: Path, clips: Sequence[Path], labels: Sequence[str], device: str = "auto", threads: int = 1
) -> Predictions:
    """Rank `labels` (any phrases) for every clip with the model of the folder `run`.

    Windows are extracted as for the run's benchmark, averaged over the clip or seen as sequences, as the method asks, and
    compared with the phrases' embeddings; each window alone gives the scores by second. Where some labels are classes that the run was trained
    on and others are not, the run's calibration β is added to the former, as in its test.

    A clip that cannot be read has its status and reason and no ranking. Raises AvzslError when the run, its
    configuration or a phrase cannot be used, or the features differ from those the run was trained on.
    """
    labels = clean(labels)
    record = _read_run(run)
    features = project.features(record.features)
    if project.trained_split(record.dataset, record.features) is not None:
        features = with_trained(features, _trained_network(project, run, record))
    # A run that cannot be used says so before an hour of extraction.
    vectors, seen = _embed(project, run, record, labels)
    model, output = _load_model(project, run, record)
    with tempfile.TemporaryDirectory(prefix="avzsl-predict-") as folder:
        streams, header, table = _extract(clips, features, Path(folder), project, device, threads)
    _check_features(run, record, header["extractor"])
    beta = (record.beta or 0.0) if any(seen) and not all(seen) else 0.0
    shift = beta * np.asarray(seen, dtype=float)
    most = LONGEST if model.inputs == "sequences" else sys.maxsize
    predictions = []
    for path, row in zip(clips, table.to_dict("records"), strict=True):
        if row["status"] != "ok":
            # Extraction only knows that there were no media, and the status why.
            status, reason = (
                (row["reason"], "there is no such file")
                if row["status"] == "no_media"
                else (row["status"], row["reason"])
            )
            predictions.append(Prediction(str(path), status, reason, (), (), (), ()))
            continue
        (sound, heard), (picture, seen_at) = (streams[name].clip(row["row"]) for name in MODALITIES)
        wanted = moments(heard, seen_at)
        whole, windows = (
            _distances(model, output, sound, heard, picture, seen_at, moment, vectors) + shift
            for moment in ([over_all(heard, seen_at, most)], wanted)
        )
        predictions.append(
            Prediction(
                str(path), "ok", row["reason"], tuple(int(i) for i in np.argsort(whole[0], kind="stable")),
                tuple(float(d) for d in whole[0]), tuple(wanted),
                tuple(tuple(float(d) for d in window) for window in windows),
            )
        )  # fmt: skip
    return Predictions(
        tuple(labels), tuple(seen), str(run), record.method, beta, bool(header["extractor"].get("random_weights")),
        tuple(predictions),
    )  # fmt: skip


def clean(labels: Sequence[str], least: int = 2) -> list[str]:
    """Return the labels without spaces around them and without repetitions; raises AvzslError if too few are left."""
    found = list(dict.fromkeys(label.strip() for label in labels if label.strip()))
    if len(found) < least:
        raise AvzslError(
            f"labels: give at least {'two different phrases' if least > 1 else 'one phrase'}, separated by commas"
        )
    return found


def _read_run(run: Path) -> RunRecord:
    path = RunPlaces(run).record
    if not path.is_file():
        raise DataError(path, "is not there; --run takes a folder like results/benchmarks/demo/runs/avca/seed-0")
    record = read_run(path)
    missing = [key for key in ("benchmark", "dataset", "features", "method", "config") if not getattr(record, key)]
    if missing:
        raise DataError(path, f"has no {missing[0]!r}; it is not the record of a run of this version")
    return record


def _trained_network(project: Project, run: Path, record: RunRecord) -> Path:
    """Return the network that the workflow trained for the run's features; raises DataError if it is another one by now."""
    path = Places(Path(project.config.results)).audio_network(record.dataset, record.features)
    if not path.is_file():
        raise DataError(
            path, f"is not there, but the features of {run} need it; take the results folder of the run whole"
        )
    digest, weights = sha256_file(path), str((record.extractor or {}).get("weights"))
    if digest not in weights:
        raise DataError(
            path,
            f"was trained anew since {run}, whose features have {weights}, while this is sha256:{digest}; build the run again",
        )
    return path


def media_table(clips: Sequence[Path]) -> pd.DataFrame:
    """Return the MEDIA table of a user's own files."""
    rows = []
    for number, path in enumerate(clips):
        there = path.is_file()
        rows.append(
            {
                "clip_id": f"{number}", "shard": 0, "status": "ok" if there else "missing", "permanent": not there,
                "attempts": 1, "error": None if there else "there is no such file",
                # An absolute path, since a relative one may begin with '-' or look like an address to FFmpeg.
                "path": str(path.resolve()),
            }
        )  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=list(MEDIA.columns))


def _extract(
    clips: Sequence[Path], features: FeaturesConfig, folder: Path, project: Project, device: str, threads: int
) -> tuple[dict[str, Stream], dict[str, Any], pd.DataFrame]:
    media = media_table(clips)
    table = extract_shard(
        media, features, folder / "clips.safetensors", folder / "clips.parquet", device=device, threads=threads,
        cache=Places(Path(project.config.results), Path(project.config.data)).weights,
    )  # fmt: skip
    streams, header = read_streams(folder / "clips.safetensors")
    return streams, header, table


def _check_features(run: Path, record: RunRecord, extractor: dict[str, Any]) -> None:
    trained = record.extractor or {}
    if trained.get("revision") != extractor.get("revision"):
        raise DataError(
            RunPlaces(run).record,
            f"was trained on features of another revision of the extractor {extractor.get('name')}; run the benchmark again",
        )
    for key in ("name", "windows", "weights"):
        if trained.get(key) != extractor.get(key):
            raise DataError(
                RunPlaces(run).record,
                f"was trained on features with {key} {trained.get(key)}, but the feature set {record.features!r} of the configuration now has {extractor.get(key)}; use the configuration of the run",
            )


def _embed(project: Project, run: Path, record: RunRecord, labels: list[str]) -> tuple[np.ndarray, list[bool]]:
    """Return unit vectors (labels, dim) and which labels are classes that the run has trained on."""
    config = project.dataset(record.dataset).embeddings
    table = pd.DataFrame({"class_name": labels, "phrase": labels})
    embedded = embed_classes(table, config)
    trained = (record.embeddings or {}).get("sha256")
    if trained is not None and embedded.backend.get("sha256") != trained:
        raise DataError(
            RunPlaces(run).record,
            f"was trained with other word vectors than {embedded.backend.get('table')} now holds; use those of the run",
        )
    classes = read_table(RunPlaces(run).benchmark / "classes.parquet", BENCHMARK_CLASSES)
    known = set(classes.loc[classes["role"].isin(("train", "val_unseen")), "class_name"])
    return embedded.rows(labels), [label in known for label in labels]


def _load_model(project: Project, run: Path, record: RunRecord) -> tuple[Method, str]:
    path = RunPlaces(run).model
    state, header = read_arrays(path)
    benchmark = project.benchmarks.get(record.benchmark)
    if benchmark is None:
        raise AvzslError(
            f"{path}: the configuration has no benchmark {record.benchmark!r}; use the configuration of the run (--config)"
        )
    module = project.method(record.method, benchmark).config.module
    try:
        model = build(module, Dims(**header["dims"]), header["config"]["options"])
        model.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
    except (RuntimeError, KeyError, TypeError) as error:
        raise DataError(
            path, f"does not fit the method {record.method!r} of this version; train the run again"
        ) from error
    model.eval()
    return model, model.reported


@torch.no_grad()
def _distances(
    model: Method[Any],
    output: str,
    sound: np.ndarray,
    heard: np.ndarray,
    picture: np.ndarray,
    seen_at: np.ndarray,
    wanted: list[tuple[float, float]],
    vectors: np.ndarray,
) -> np.ndarray:
    """Return (moments, labels) distances of one output of the method to the class embeddings `vectors` (labels, dim).

    `sound` and `picture` (steps, dim) are a clip's steps with their times; of each moment in `wanted` the method sees the
    mean of its steps, or the steps.
    """
    classes = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32))
    sides = ((sound, heard), (picture, seen_at))
    if model.inputs == "averages":
        audio, visual = (torch.from_numpy(np.stack([*means(*side, wanted)])) for side in sides)
        return model.distances(audio, visual, classes)[output].double().numpy()
    rows = []
    for moment in wanted:
        heard_now, seen_now = (_steps(values, times, steps_of(moment, times)) for values, times in sides)
        rows.append(model.distances(heard_now, seen_now, classes)[output].double().numpy())
    return np.concatenate(rows)


def _steps(values: np.ndarray, times: np.ndarray, kept: np.ndarray) -> Steps:
    """Return some steps of one clip as a batch of one."""
    return Steps(
        torch.from_numpy(values[kept].astype(np.float32))[None],
        torch.tensor([len(kept)]),
        torch.from_numpy(times[kept])[None],
    )
