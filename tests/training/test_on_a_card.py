"""Runs on a make-believe GPU: seeds in one pass, ranking there, steps that its memory holds."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from avzsl.contracts.streams import Stream
from avzsl.runtime.accelerator import Accelerator, Cuda
from avzsl.training.run import run
from avzsl.training.sequences import on_device
from tests.runtime.make_believe import CARD, OnTheCpu, make_believe
from tests.training.test_run import benchmark, method, toy  # noqa: F401


def test_a_run_trains_the_other_seeds_with_it(toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    make_believe(monkeypatch)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.get_rng_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: None)
    monkeypatch.setattr(Cuda, "record", Accelerator.record)  # kernels are not replayed here
    folder, files = toy
    others = [(1, tmp_path / "seed-1")]
    with OnTheCpu():
        run(
            folder, files.pack[0], files.embeddings, method("avca", epochs=2, batches_per_epoch=3), benchmark(), 0, tmp_path / "seed-0",
            device="cuda", threads=1, together=others,
        )  # fmt: skip
    row = json.loads((tmp_path / "seed-0/run.json").read_text())
    assert row["hardware"]["device"] == "a make-believe card"
    assert 0 <= row["zsl"] <= 100
    assert (tmp_path / "seed-1/checkpoint.pt").is_file(), "the second seed has only to be scored"


def test_steps_are_held_where_memory_allows(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    make_believe(monkeypatch)
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    stream = Stream(values, np.array([0, 1, 4]), np.zeros((4, 2)))
    with OnTheCpu(), caplog.at_level(logging.INFO):
        held = on_device({"audio": stream, "visual": stream}, CARD, torch.float32)
    assert held["audio"]._map is None
    assert "features of steps are on" in caplog.text
