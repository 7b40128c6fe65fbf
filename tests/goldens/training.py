"""Whole runs on a small benchmark in float64: history, predictions, scores and what run.json says of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from avzsl.benchmark import assemble
from avzsl.benchmark.synthetic import small, write
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.schemas import HISTORY, PREDICTIONS
from avzsl.contracts.tables import read_table
from avzsl.training.run import run
from tests.goldens.digest import digest, lines
from tests.goldens.methods import project_of

SHORT = {
    "epochs": 4,
    "batches_per_epoch": 4,
    "batch_size": 12,
    "precision": "float64",
    "patience": 0,
    "lr_factor": 0.5,
    "lr": 0.02,
}
CASES: dict[str, dict[str, Any]] = {
    "cjme": {}, "cjme as_released": {"preset": "as_released"}, "cjme exact": {"calibration": "exact", "seed": 3},
    "avgzslnet search": {"search_trials": 3, "epochs": 2}, "ridge": {},
}  # fmt: skip
KEYS = ("seen", "unseen", "hm", "zsl", "beta", "epoch", "chosen", "per_class", "classes_without_test_clips", "best_beta_on_test", "retrieval", "chance")  # fmt: skip


def one(folder: Path, files: Any, project: Any, name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Return what one run wrote."""
    preset, seed = changes.pop("preset", "corrected"), changes.pop("seed", 1)
    benchmark = dataclasses.replace(next(iter(project.benchmarks.values())), preset=preset)
    method = project.method(name, benchmark)
    training = method.training.model_copy(update={**SHORT, **changes})
    out = folder / "run"
    method = dataclasses.replace(method, training=training)
    run(folder / "benchmark", files.pack[0], files.embeddings, method, benchmark, seed, out, device="cpu")
    record = json.loads((out / "run.json").read_text())
    history = read_table(out / "history.parquet", HISTORY)
    arrays, header = read_arrays(out / "scores.safetensors")
    keys = ("stage", "epoch", "lr", "loss", "selected", "seen", "unseen", "hm", "zsl", "beta")
    return {
        "history": [[None if row[k] != row[k] else row[k] for k in keys] for row in history.to_dict("records")],
        "predictions": lines(read_table(out / "predictions.parquet", PREDICTIONS).fillna("").to_numpy()),
        "scores": {key: digest(value) for key, value in sorted(arrays.items())},
        "classes": [header["class_names"], header["seen"]],
        "record": {key: record[key] for key in KEYS},
        "trials": [{k: v for k, v in trial.items() if k != "seconds"} for trial in record["search"]],
    }


def cases() -> dict[str, Any]:
    """Return what is special about every run, by its name."""
    return CASES


def values(only: str | None = None) -> dict[str, Any]:
    """Return the runs, or one, by method and what is special."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        project = project_of(folder)
        counts, vectors = small((7, 4, 4), clips=8, dim=12)
        # Display names in another order than classes: the released row order differs.
        phrases = {name: f"{chr(122 - i % 5)} {name}" for i, name in enumerate(sorted(vectors))}
        files = write(folder / "in", counts, vectors, phrases, noise=0.5, dims=(14, 11))
        assemble(files.split, files.pack, [], files.embeddings, folder / "benchmark")
        return {
            name: one(folder, files, project, name.split()[0], dict(changes))
            for name, changes in CASES.items()
            if only in (None, name)
        }
