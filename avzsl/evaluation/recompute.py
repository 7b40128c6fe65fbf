"""Every number of a run, once more from what it kept per clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.errors import DataError
from avzsl.contracts.schemas import HISTORY, PREDICTIONS
from avzsl.contracts.tables import read_table
from avzsl.evaluation.calibration import Calibration
from avzsl.evaluation.hits import table_scores
from avzsl.evaluation.retrieval import retrieve
from avzsl.results.places import RunPlaces
from avzsl.results.records import read_run

# Percent; a number written to JSON and one recomputed differ by the order of a sum at most.
TOLERANCE = 1e-9


def recompute(run: Path) -> dict[str, Any]:
    """Return all results of the run in the folder `run`, computed from its predictions and its distances.

    S, U, HM, ZSL and per-class accuracy come from predictions.parquet; predictions, the best calibration, the area
    under the seen-unseen curve and retrieval from scores.safetensors; epoch and beta from history.parquet.
    Raises DataError that names the first number of run.json that differs by more than rounding.
    """
    files = RunPlaces(run)
    path = files.record
    record = read_run(path, checked=False).model_dump()
    predictions = read_table(files.predictions, PREDICTIONS)
    arrays, header = read_arrays(files.scores)
    names, seen = header["class_names"], np.asarray(header["seen"], dtype=bool)
    if predictions["clip_id"].tolist() != header["clip_ids"]:
        raise DataError(files.predictions, "holds other clips than scores.safetensors")
    column = {name: index for index, name in enumerate(names)}
    labels = predictions["class_name"].map(column).to_numpy(np.int64)
    calibration = Calibration(arrays["distances"], labels, seen)

    if predictions["predicted"].tolist() != [names[c] for c in calibration.predict(record["beta"])]:
        raise DataError(files.predictions, "does not follow from the distances and the beta of the run")
    among = predictions["predicted_zsl"].dropna()
    if among.tolist() != [names[c] for c in calibration.predict_unseen()[among.index]]:
        raise DataError(files.predictions, "its unseen-only predictions do not follow from the distances")

    result: dict[str, Any] = dict(table_scores(predictions))
    right = predictions["predicted"] == predictions["class_name"]
    by_class = (100.0 * right.groupby(predictions["class_name"]).mean()).to_dict()
    result["per_class"] = {name: by_class.get(name) for name in names}
    best = calibration.best_exact()
    area = calibration.area()
    hm = None if best.hm is None else 100.0 * best.hm
    result["best_beta_on_test"] = {"hm": hm, "beta": best.beta, "ausuc": area}
    points: dict[str, np.ndarray] = {
        name: arrays[name] for name in ("audio", "visual", "both", "classes") if name in arrays
    }
    result["retrieval"] = retrieve(points, labels, seen, arrays["distances"])
    history = read_table(files.history, HISTORY)
    chosen = history[(history["stage"] == 1) & history["selected"]]
    result["epoch"] = int(chosen["epoch"].iloc[0])
    for key, value in result.items():
        _same(path, key, record.get(key), value)
    read_run(path)  # nothing else in it was edited either
    return result


def intersection(runs: Sequence[Path]) -> list[dict[str, float | None]]:
    """Return S, U, HM and ZSL in percent of each run on the test clips that all of `runs` share.

    For comparing feature sets that cover different clips. A class that has no shared clip takes part in no mean.
    Raises DataError if no test clip is shared.
    """
    tables = [read_table(RunPlaces(run).predictions, PREDICTIONS) for run in runs]
    shared = set.intersection(*(set(table["clip_id"]) for table in tables))
    if not shared:
        raise DataError(RunPlaces(runs[0]).predictions, "shares no test clip with the other runs")
    return [table_scores(table[table["clip_id"].isin(shared)]) for table in tables]


def _same(path: Path, key: str, recorded: Any, value: Any) -> None:
    if isinstance(value, dict):
        for part, number in value.items():
            _same(path, f"{key}.{part}", (recorded or {}).get(part), number)
    elif value is None or recorded is None:
        if value is not recorded:
            raise DataError(path, f"{key} is {recorded}, but the run's own files give {value}")
    elif not math.isclose(float(recorded), float(value), rel_tol=1e-9, abs_tol=TOLERANCE):
        raise DataError(path, f"{key} is {recorded}, but the run's own files give {value}")
