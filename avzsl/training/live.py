"""Scalars of a run while it trains: learning rate, loss, S, U, HM, ZSL and beta of every epoch.

They are a view for people: no result depends on them, and their failure costs no training. The numbers are those of
the history, which an epoch has brought to the host anyway, so nothing waits for the device on their account.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from avzsl.config.project import Tracking
from avzsl.contracts.errors import ConfigError

logger = logging.getLogger(__name__)

# Takes a row of the history.
Watch = Callable[[dict[str, Any]], None]

# Columns of the history and the names of their scalars; the accuracies are shown in percent, as everywhere.
_SCALARS = {"lr": "lr", "loss": "loss", "seen": "S", "unseen": "U", "hm": "HM", "zsl": "ZSL", "beta": "beta"}
_PERCENT = {"seen", "unseen", "hm", "zsl"}
# Open event files reach the disk this often.
_FLUSH_S = 10


@contextlib.contextmanager
def live(tracking: Tracking, out: Path, name: str, config: dict[str, Any]) -> Iterator[Watch]:
    """Yield what shows a row of the history to people, in the folder `out`/`tracking`, which is made anew.

    `name` and `config` describe the run to Weights & Biases and MLflow. No account is needed: Weights & Biases
    writes to disk unless its own variables (WANDB_MODE, WANDB_API_KEY) say otherwise, MLflow to a database in the
    folder unless MLFLOW_TRACKING_URI is set. Raises ConfigError if the package is not installed.
    """
    if tracking == "none":
        yield lambda row: None
        return
    folder = out / tracking
    opened = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}[tracking]
    send: Callable[[dict[str, float], int, int], None] | None = None
    with contextlib.ExitStack() as stack:
        with _harmless(tracking, name):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            send = opened(stack, folder, name, config)

        def watch(row: dict[str, Any]) -> None:
            nonlocal send
            if send is None:
                return
            sent = False
            with _harmless(tracking, name):
                send(scalars(row), row["stage"], row["epoch"])
                sent = True
            if not sent:
                send = None

        try:
            yield watch
        finally:
            with _harmless(tracking, name):
                stack.close()


def scalars(row: dict[str, Any]) -> dict[str, float]:
    """Return the scalars of a row of the history by their names; what the row does not have is left out."""
    return {
        name: float(row[key]) * (100 if key in _PERCENT else 1)
        for key, name in _SCALARS.items()
        if row.get(key) is not None
    }


@contextlib.contextmanager
def _harmless(tracking: str, name: str) -> Iterator[None]:
    """Turn any failure of a tracker (a full disk, no network, its own errors) into a warning."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        logger.warning("%s: %s shows nothing further: %s", name, tracking, error)


def _import(tracking: str, module: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"config.yaml: tracking: {tracking} needs a package that is not installed: pip install {package}, "
            f"or set tracking to tensorboard or none ({error})"
        ) from error


def _tensorboard(
    stack: contextlib.ExitStack, folder: Path, name: str, config: dict[str, Any]
) -> Callable[[dict[str, float], int, int], None]:
    module = _import("tensorboard", "torch.utils.tensorboard", "tensorboard")
    # One writer a stage: both count epochs from 1, and TensorBoard draws them as two lines of one chart.
    writers = {}
    for stage in (1, 2):
        writers[stage] = module.SummaryWriter(str(folder / f"stage-{stage}"), flush_secs=_FLUSH_S)
        stack.callback(writers[stage].close)

    def send(values: dict[str, float], stage: int, epoch: int) -> None:
        for key, value in values.items():
            writers[stage].add_scalar(key, value, epoch)

    return send


def _wandb(
    stack: contextlib.ExitStack, folder: Path, name: str, config: dict[str, Any]
) -> Callable[[dict[str, float], int, int], None]:
    module = _import("wandb", "wandb", "wandb")
    # Without a key its default mode would ask for one, and wait.
    mode = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
    run = module.init(project="avzsl", name=name, config=config, dir=str(folder), mode=mode, reinit="create_new")
    stack.callback(run.finish)

    def send(values: dict[str, float], stage: int, epoch: int) -> None:
        run.log({f"stage-{stage}/{key}": value for key, value in values.items()} | {f"stage-{stage}/epoch": epoch})

    return send


def _mlflow(
    stack: contextlib.ExitStack, folder: Path, name: str, config: dict[str, Any]
) -> Callable[[dict[str, float], int, int], None]:
    module = _import("mlflow", "mlflow", "mlflow")
    store = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.resolve() / 'mlflow.db'}"
    client = module.MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("avzsl")
    number = experiment.experiment_id if experiment else client.create_experiment("avzsl")
    run = client.create_run(number, run_name=name).info.run_id
    stack.callback(client.set_terminated, run)
    for key, value in config.items():
        client.log_param(run, key, str(value))

    def send(values: dict[str, float], stage: int, epoch: int) -> None:
        for key, value in values.items():
            client.log_metric(run, f"stage-{stage}/{key}", value, step=epoch)

    return send
