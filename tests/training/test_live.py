from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.errors import ConfigError
from avzsl.contracts.schemas import HISTORY
from avzsl.contracts.tables import read_table
from avzsl.training.live import live, scalars
from avzsl.training.run import run
from tests.training.test_run import benchmark, method, toy  # noqa: F401

ROW = {
    "stage": 1,
    "epoch": 3,
    "lr": 0.01,
    "loss": 2.5,
    "seen": 0.5,
    "unseen": 0.25,
    "hm": 1 / 3,
    "zsl": 0.6,
    "beta": 0.1,
}


def read_events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_tensorboard_holds_the_history_and_changes_no_result(toy, tmp_path: Path) -> None:  # noqa: F811
    folder, files = toy
    for tracking in ("tensorboard", "none"):
        out = tmp_path / tracking
        run(folder, files.pack[0], files.embeddings, method("avca"), benchmark(), 0, out, "cpu", tracking=tracking)
    watched, silent = (read_arrays(tmp_path / t / "model.safetensors")[0] for t in ("tensorboard", "none"))
    assert all((watched[key] == silent[key]).all() for key in silent)
    assert not (tmp_path / "none" / "tensorboard").exists()
    history = read_table(tmp_path / "tensorboard" / "history.parquet", HISTORY)
    for stage, rows in history.groupby("stage"):
        shown = read_events(tmp_path / "tensorboard" / "tensorboard" / f"stage-{stage}")
        assert {"lr", "loss"} <= set(shown)
        assert [step for step, _ in shown["loss"]] == list(rows["epoch"])
        assert [value for _, value in shown["loss"]] == pytest.approx(list(rows["loss"]), rel=1e-5)
        if stage == 1:
            assert set(shown) == {"lr", "loss", "S", "U", "HM", "ZSL", "beta"}
            assert [value for _, value in shown["HM"]] == pytest.approx(list(100 * rows["hm"]), rel=1e-5)


def test_a_run_that_continues_shows_every_epoch_once(tmp_path: Path) -> None:
    for epochs in (1, 2):  # the second time the first epoch comes from the checkpoint
        with live("tensorboard", tmp_path, "avca seed 0", {}) as watch:
            for epoch in range(1, epochs + 1):
                watch(ROW | {"epoch": epoch})
    assert [step for step, _ in read_events(tmp_path / "tensorboard" / "stage-1")["S"]] == [1, 2]


def test_scalars_are_percent_and_leave_out_what_was_not_scored() -> None:
    assert scalars(ROW) == pytest.approx(
        {"lr": 0.01, "loss": 2.5, "S": 50, "U": 25, "HM": 100 / 3, "ZSL": 60, "beta": 0.1}
    )
    assert set(scalars({"stage": 2, "epoch": 1, "lr": 0.01, "loss": 2.5, "zsl": None})) == {"lr", "loss"}


@pytest.mark.parametrize("tracking", ["wandb", "mlflow"])
def test_a_missing_package_is_named_before_training(tmp_path: Path, monkeypatch, tracking) -> None:
    monkeypatch.setitem(sys.modules, tracking, None)
    with (
        pytest.raises(ConfigError, match=f"tracking: {tracking}.*pip install {tracking}"),
        live(tracking, tmp_path, "x", {}),
    ):
        pytest.fail("training began")


def test_wandb_stays_offline_without_an_account(tmp_path: Path, monkeypatch) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    logged, asked, finished = [], {}, []
    fake_run = SimpleNamespace(log=logged.append, finish=lambda: finished.append(True))
    fake = SimpleNamespace(init=lambda **options: asked.update(options) or fake_run)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    with live("wandb", tmp_path, "avca seed 0", {"seed": 0}) as watch:
        watch(ROW)
    assert asked["mode"] == "offline"
    assert asked["dir"] == str(tmp_path / "wandb")
    assert logged[0]["stage-1/U"] == 25
    assert finished == [True]


def test_a_tracker_that_fails_costs_no_training(tmp_path: Path, monkeypatch, caplog) -> None:
    def fail(values: object) -> None:
        calls.append(values)
        raise OSError("no space left on device")

    calls: list[object] = []
    fake = SimpleNamespace(init=lambda **options: SimpleNamespace(log=fail, finish=lambda: None))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    with caplog.at_level(logging.WARNING), live("wandb", tmp_path, "avca seed 0", {}) as watch:
        watch(ROW)
        watch(ROW)
    assert len(calls) == 1
    assert "no space left on device" in caplog.text


@pytest.mark.parametrize("there,uri", [(False, None), (True, "http://elsewhere")])
def test_mlflow_writes_to_a_database_of_the_run_unless_it_is_told_another(
    tmp_path: Path, monkeypatch, there, uri
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if uri:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    said: list[tuple[object, ...]] = []

    class Client:
        def __init__(self, tracking_uri: str) -> None:
            said.append(("store", tracking_uri))

        def get_experiment_by_name(self, name: str) -> object:
            return SimpleNamespace(experiment_id="7") if there else None

        def create_experiment(self, name: str) -> str:
            return "new"

        def create_run(self, number: str, run_name: str) -> object:
            said.append(("run", number, run_name))
            return SimpleNamespace(info=SimpleNamespace(run_id="r"))

        def log_param(self, *given: object) -> None:
            said.append(("param", *given))

        def log_metric(self, run: str, key: str, value: float, step: int) -> None:
            if key.endswith("/U"):
                said.append((key, value, step))

        def set_terminated(self, run: str) -> None:
            said.append(("end", run))

    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(MlflowClient=Client))
    with live("mlflow", tmp_path, "avca seed 0", {"seed": 0}) as watch:
        watch(ROW)
    assert said == [
        ("store", uri or f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}"), ("run", "7" if there else "new", "avca seed 0"),
        ("param", "r", "seed", "0"), ("stage-1/U", 25.0, 3), ("end", "r"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "variables,mode",
    [({"WANDB_API_KEY": "k"}, "online"), ({"WANDB_MODE": "disabled", "WANDB_API_KEY": "k"}, "disabled")],
)
def test_wandb_goes_online_with_a_key_and_does_what_it_is_told(tmp_path: Path, monkeypatch, variables, mode) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    asked: dict[str, object] = {}
    fake_run = SimpleNamespace(log=lambda values: asked.update(logged=values), finish=lambda: None)
    fake = SimpleNamespace(init=lambda **options: asked.update(options) or fake_run)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    with live("wandb", tmp_path, "avca seed 0", {"seed": 0}) as watch:
        watch(ROW | {"stage": 2, "epoch": 4})
    assert asked["mode"] == mode and asked["name"] == "avca seed 0" and asked["config"] == {"seed": 0}
    assert asked["logged"]["stage-2/epoch"] == 4  # type: ignore[index]
