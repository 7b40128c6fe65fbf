"""Hyper-parameter search before a run: stage 1 for each trial, judged by validation HM, and nothing else.

Optional (`training.search_trials`), with the same number of trials for every method. A method's file may name its own
space; else the learning rate, weight decay and batch size are searched. Test clips are in no trial's sight.
Closed-form methods choose from their grids as they run, and are not searched here.
"""

from __future__ import annotations

import itertools
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from avzsl.config.errors import first_line
from avzsl.config.load import Method
from avzsl.config.methods import Option, TrainingConfig
from avzsl.contracts.atomic import write_json
from avzsl.contracts.errors import ConfigError
from avzsl.runtime import checkpoint
from avzsl.runtime.progress import Ticker
from avzsl.training.protocol import Job, Progress, _stage

logger = logging.getLogger(__name__)

# `training.KEY` is a key of the training, any other name an option of the method.
SPACE: dict[str, list[Option]] = {
    "training.lr": [0.0003, 0.001, 0.003],
    "training.weight_decay": [0.0, 1e-5, 1e-4],
    "training.batch_size": [64, 128, 256],
}


@dataclass(frozen=True)
class Found:
    """The chosen options and training, and a row for every trial: what it changed, its validation HM, epoch, seconds."""

    options: dict[str, Option]
    training: TrainingConfig
    log: list[dict[str, Any]]


def trials(space: Mapping[str, list[Option]], count: int, seed: int) -> list[dict[str, Option]]:
    """Return `count` settings: first none changed, then others of the space, all of them or drawn without replacement."""
    sizes = [len(values) for values in space.values()]
    total = prod(sizes)
    drawn = range(total)
    if count - 1 < total:
        # Numbers of the settings, drawn without listing a space that may be large.
        chosen = np.random.default_rng(seed).permutation(total) if total <= 10_000 else _distinct(total, count, seed)
        drawn = chosen[: count - 1].tolist()
    rows = [np.unravel_index(number, sizes) for number in drawn]
    return [
        {},
        *(dict(zip(space, (v[i] for v, i in zip(space.values(), row, strict=True)), strict=True)) for row in rows),
    ]


def _distinct(total: int, count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    numbers: dict[int, None] = {}
    while len(numbers) < count:
        numbers[int(rng.integers(total))] = None
    return np.fromiter(itertools.islice(numbers, count), np.int64)


def apply(
    method: Method, training: TrainingConfig, changes: Mapping[str, Option]
) -> tuple[dict[str, Option], TrainingConfig]:
    """Return options and training with a setting's changes; raises ConfigError for a key that neither has."""
    options, values = dict(method.options), training.model_dump()
    for key, value in changes.items():
        place, name = (values, key.removeprefix("training.")) if key.startswith("training.") else (options, key)
        if name not in place:
            raise ConfigError(
                f"method {method.name}: search.{key}: there is no such option; known: {', '.join(sorted(place))}"
            )
        place[name] = value
    try:
        return options, TrainingConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(first_line(f"method {method.name}, search", error, TrainingConfig)) from error


def search(
    method: Method,
    training: TrainingConfig,
    make_job: Callable[[dict[str, Option], TrainingConfig, Path, str], Job],
    out: Path,
    fingerprint: str,
    seed: int,
) -> Found:
    """Try `training.search_trials` settings and return the one with the highest validation HM, the first on ties.

    Every finished trial is written to OUT/search.json, so that a stopped search goes on where it was.
    """
    path, saved = out / "search.json", out / "search.pt"
    space = method.config.search or SPACE
    settings = trials(space, training.search_trials, seed)
    for changes in settings:
        apply(method, training, changes)  # a mistake shows before anything trains
    log = _read(path, fingerprint)
    for number, changes in list(enumerate(settings))[len(log) :]:
        options, tried = apply(method, training, changes)
        started, mark = time.monotonic(), f"{fingerprint}-{number}"
        job = make_job(options, tried, saved, mark)
        if job.make().settings is not None:
            return Found(options, tried, [])
        state = checkpoint.restore(saved, mark, job.source.device)
        progress = Progress(**state["progress"]) if state else Progress()
        # A count of its own: the run's bar is for the run.
        ticker = Ticker(
            f"{method.name} seed {seed}, trial {number + 1} of {len(settings)}", tried.epochs, "epochs", None
        )
        _stage(job, 1, tried.epochs, progress, state, ticker)
        log.append(
            {
                "trial": number,
                "changes": changes,
                "hm": 100 * progress.best,
                "epoch": progress.epoch,
                "seconds": time.monotonic() - started,
            }
        )
        write_json(path, {"fingerprint": fingerprint, "trials": log})
        logger.info(
            "%s: trial %d of %d: %s: validation HM %.2f",
            method.name,
            number + 1,
            len(settings),
            changes or "as configured",
            100 * progress.best,
        )
    saved.unlink(missing_ok=True)
    best = max(log, key=lambda row: row["hm"])
    return Found(*apply(method, training, best["changes"]), log)


def _read(path: Path, fingerprint: str) -> list[dict[str, Any]]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return list(value["trials"]) if value["fingerprint"] == fingerprint else []
    except (OSError, ValueError, KeyError, TypeError):
        return []
