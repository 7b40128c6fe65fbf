"""Runs made ahead of their own jobs: the same bits, taken only if they are what is asked for, lost by nobody's failure."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from avzsl.benchmark.synthetic import SyntheticFiles
from avzsl.config.load import SHIPPED, Benchmark, Method
from avzsl.config.methods import MethodConfig, Overrides
from avzsl.contracts.errors import AvzslError
from avzsl.contracts.schemas import HISTORY
from avzsl.contracts.tables import read_table
from avzsl.results.places import RunPlaces
from avzsl.results.project import run_settings
from avzsl.runtime.accelerator import LostError
from avzsl.runtime.locks import exclusive
from avzsl.training import ahead
from avzsl.training import run as training
from avzsl.training.ahead import Asked, Here, make, plan
from tests.training.toy import write_toy

torch.set_num_threads(1)
ROOT = Path(__file__).resolve().parents[2]
QUICK: dict[str, Any] = {"epochs": 2, "batches_per_epoch": 2, "batch_size": 16}

# (method, changes of training): every kind of module, a search, bfloat16's rounding, the released rows.
EVERY = [
    ("tcaf", {"train_steps": 4, "test_steps": 4}), ("avca", {}), ("fvaegan", {}), ("ridge", {}), ("cjme", {"search_trials": 2}),
    ("conse", {}), ("avgzslnet", {}), ("gcca", {}), ("ale", {}), ("sae", {}), ("apn", {}), ("eszsl", {}), ("clipclap", {}),
    ("prototype", {}), ("concat", {}), ("sje", {"precision": "bfloat16"}), ("devise", {"precision": "float64"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SyntheticFiles, Path]:
    return write_toy(tmp_path_factory.mktemp("toy"), 0.3, (24, 20))


@pytest.fixture
def here(toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    monkeypatch.chdir(tmp_path)
    Path(".snakemake").mkdir()
    folder, files, _ = toy
    return Here(folder, files.pack[0], files.embeddings, "cpu", 1, "none", [0, 1, 2], None, "logs/own.log")


def asked(name: str, seed: int = 0, steps: Path | None = None, out: str = "runs", **changes: Any) -> Asked:
    config = MethodConfig.model_validate(yaml.safe_load((SHIPPED / "methods" / f"{name}.yaml").read_text()))
    values = config.training.model_copy(update={**QUICK, **changes})
    method = Method(name, config, dict(config.options), values)
    benchmark = Benchmark("toy", "toy", "default", "synthetic", "corrected", (name,), (0,), Overrides())  # type: ignore[arg-type]
    settings = run_settings(SimpleNamespace(method=lambda name, benchmark: method), benchmark, name)  # type: ignore[arg-type]
    return Asked("toy", name, seed, json.loads(json.dumps(settings)), 1000.0, str(steps) if steps else None, f"{out}/{name}/seed-{seed}")  # fmt: skip


def content(places: RunPlaces) -> list[Any]:
    """Return what a run left, without times."""
    record = json.loads(places.record.read_text())
    trials = [{**row, "seconds": 0} for row in record["search"]]
    history = read_table(places.history, HISTORY).drop(columns="seconds").to_dict("list")
    arrays = [path.read_bytes() for path in (places.predictions, places.scores, places.model)]
    return [repr(history), arrays, {**record, "seconds": 0, "checksum": "", "search": trials}]


def test_every_method_gives_the_same_bits_whatever_ran_before_in_the_process(toy, here, monkeypatch):
    runs = [asked(name, steps=toy[2] if name == "tcaf" else None, **changes) for name, changes in EVERY]
    plan(runs)
    make(runs[0], here)
    assert runs[0].places.record.is_file() and not runs[0].places.ahead.folder.exists()
    assert not any(run.places.record.exists() for run in runs[1:])
    plan([])
    for run in reversed(runs):
        alone = replace(run, out=run.out.replace("runs/", "alone/"))
        make(alone, here)
        if run is not runs[0]:
            with monkeypatch.context() as patch:
                patch.setattr(training, "run", unwanted)
                make(run, here)
        assert content(run.places) == content(alone.places), run.method
        assert sorted(path.name for path in run.places.folder.iterdir() if path.name != "search.json") == sorted(
            path.name for path in run.places.all
        )


def unwanted(*arguments: Any, **options: Any) -> bool:
    raise AssertionError("made again")


class Fake:
    """Stands for training: writes five files and keeps account; `fails` says what it raises for a method."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.fails: dict[str, Exception] = {}

    def __call__(self, folder: Path, pack: Path, vectors: Path, method: Method, benchmark: Benchmark, seed: int, out: Path,
                 written: Path | None = None, unless_finished: bool = False, **options: Any) -> bool:  # fmt: skip
        if unless_finished and RunPlaces(out).record.is_file():
            return False
        self.made.append(method.name)
        if method.name in self.fails:
            raise self.fails[method.name]
        (written or out).mkdir(parents=True, exist_ok=True)
        for path in RunPlaces(written or out).all:
            path.write_text(f"{method.name} {seed} {method.training.lr}", encoding="utf-8")
        return True


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    stands = Fake()
    monkeypatch.setattr(training, "run", stands)
    return stands


@pytest.fixture
def three(here: Here) -> list[Asked]:
    runs = [asked(name) for name in ("avca", "ridge", "cjme")]
    plan(runs)
    return runs


def test_a_job_makes_what_nobody_has_begun_and_theirs_move_it_into_place(here, fake, three, caplog):
    caplog.set_level(logging.INFO)
    avca, ridge, cjme = three
    make(avca, here)
    assert fake.made == ["avca", "ridge", "cjme"]
    make(ridge, here)
    make(cjme, here)
    assert fake.made == ["avca", "ridge", "cjme"]
    for run in three:
        assert all(path.read_text().startswith(f"{run.method} 0") for path in run.places.all)
        assert not run.places.ahead.folder.exists()
    assert "made ahead by another job, whose log says how: logs/own.log" in caplog.text


def test_only_runs_of_the_plan_the_benchmark_and_the_same_inputs_are_made_ahead(toy, here, fake):
    tcaf, other = asked("tcaf", steps=toy[2]), replace(asked("sae"), out="elsewhere/b/runs/sae/seed-0")
    avca, ridge = asked("avca"), asked("ridge")
    plan([avca, tcaf, other])
    make(avca, here)
    assert fake.made == ["avca"], "neither is the file of steps known to be finished nor is ridge planned"
    plan([tcaf, avca, ridge])
    make(tcaf, here)
    assert fake.made[1:] == ["tcaf", "ridge"]
    assert not avca.places.ahead.folder.exists(), "finished already"
    plan([])
    make(asked("gcca"), here)
    assert not asked("gcca").places.lock.exists() and fake.made[-1] == "gcca"


STALE: dict[str, Callable[[Asked, Here, pytest.MonkeyPatch], tuple[Asked, Here]]] = {
    "settings": lambda run, here, patch: (replace(run, settings={**run.settings, "preset": "as_released"}), here),
    "threads": lambda run, here, patch: (run, replace(here, threads=2)),
    "device": lambda run, here, patch: (run, replace(here, device="auto")),
    "features": lambda run, here, patch: (run, replace(here, pack=_changed(here.pack))),
    "embeddings": lambda run, here, patch: (run, replace(here, vectors=_changed(here.vectors))),
    "torch": lambda run, here, patch: (_another_version(patch), (run, replace(here)))[1],
    "no sums": lambda run, here, patch: (_write(run.places.made_ahead, b"{}"), (run, here))[1],
    "a byte": lambda run, here, patch: (_write(run.places.ahead.scores, b"ridge 0 0.002"), (run, here))[1],
    "a file": lambda run, here, patch: (run.places.ahead.model.unlink(), (run, here))[1],
}


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _another_version(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("importlib.metadata.version", lambda name: "0")


def _changed(path: Path) -> Path:
    other = Path("other") / path.name
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(path.read_bytes() + b" ")
    return other


@pytest.mark.parametrize("what", [None, *STALE])
def test_what_was_made_ahead_is_taken_only_if_it_is_what_is_asked_for(here, fake, three, what, monkeypatch):
    avca, ridge, _ = three
    make(avca, here)
    plan([])
    fake.made.clear()
    if what is not None:
        ridge, here = STALE[what](ridge, here, monkeypatch)
    make(ridge, here)
    assert fake.made == ([] if what is None else ["ridge"])
    assert ridge.places.record.is_file() and not ridge.places.ahead.folder.exists()


def test_steps_of_another_time_are_others(toy, here, fake, tmp_path):
    steps = tmp_path / "steps.safetensors"
    steps.write_bytes(toy[2].read_bytes())
    first, second = asked("tcaf", steps=steps), asked("tcaf", 1, steps=steps)
    plan([first, second])
    make(first, here)
    os.utime(steps, ns=(1, 1))
    make(second, here)
    assert fake.made == ["tcaf"] * 3


def test_forced_runs_are_made_anew(here, fake, three):
    avca, ridge, cjme = three
    make(avca, here)
    plan(three, [ridge])
    assert not ridge.places.ahead.folder.exists() and cjme.places.ahead.folder.exists()


def test_a_run_that_another_process_makes_is_not_made_twice(here, fake, three):
    avca, ridge, _ = three
    with exclusive(ridge.places.lock, AvzslError("busy")):
        make(avca, here)
    assert fake.made == ["avca", "cjme"]


def test_a_job_waits_for_the_process_that_makes_its_run(here, fake, three, caplog):
    caplog.set_level(logging.INFO)
    _, ridge, cjme = three
    plan([ridge, cjme])
    held = threading.Event()

    def elsewhere() -> None:
        with exclusive(cjme.places.lock, AvzslError("busy")):
            held.set()
            time.sleep(0.5)
            ahead._make(cjme, here, ahead.fingerprint(cjme, here))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    held.wait()
    make(cjme, here)
    thread.join()
    assert fake.made == ["cjme"] and "waiting for it" in caplog.text
    assert cjme.places.record.is_file()


@pytest.mark.parametrize("error", [AvzslError("training diverged: loss nan\nmore"), ValueError(), torch.OutOfMemoryError("x"), OSError(28, "full")])  # fmt: skip
def test_a_run_that_fails_fails_in_its_own_job_alone(here, fake, three, caplog, error):
    avca, ridge, _ = three
    fake.fails["ridge"] = error
    make(avca, here)
    assert avca.places.record.is_file() and fake.made == ["avca", "ridge", "cjme"]
    [line] = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert line.startswith("left to its own job: ") and "\n" not in line
    # Nor does the next job try it: a process may have died of it.
    other = asked("sae")
    plan([*three, other])
    make(other, here)
    assert "ridge" not in fake.made[3:]
    with pytest.raises(type(error)):
        make(ridge, here)
    fake.fails.clear()
    make(ridge, here)
    assert ridge.places.record.is_file()


def test_a_lost_gpu_ends_what_is_made_ahead_and_a_failure_of_ones_own_is_raised(here, fake, three):
    fake.fails["ridge"] = LostError("gone")
    make(three[0], here)
    assert fake.made == ["avca", "ridge"] and three[0].places.record.is_file()
    fake.made.clear()
    with pytest.raises(LostError):
        make(three[1], here)
    assert fake.made == ["ridge"] and not three[1].places.record.exists()


def test_no_more_is_made_ahead_once_the_job_has_the_memory_it_asked_for(here, fake, three, caplog):
    caplog.set_level(logging.INFO)
    make(three[0], replace(here, memory_mb=1))
    assert fake.made == ["avca"] and "of 1" in caplog.text
    make(three[1], replace(here, memory_mb=1_000_000))
    assert fake.made == ["avca", "ridge", "cjme"]


KILLED = """
import os, signal, sys, json
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.training.test_ahead import Fake
from avzsl.training import run as training
from avzsl.training.ahead import Asked, Here, make, planned
class Dies(Fake):
    def __call__(self, *given, **options):
        if given[3].name == "cjme":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(*given, **options)
training.run = Dies()
make(planned()[0], Here(Path({folder!r}), Path({pack!r}), Path({vectors!r}), "cpu", 1, "none", [0], None))
"""

ADOPTS = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from avzsl.training.ahead import Here, make, planned
for run in planned()[:2]:
    make(run, Here(Path({folder!r}), Path({pack!r}), Path({vectors!r}), "cpu", 1, "none", [0], None))
sys.exit("torch" in sys.modules)
"""


def test_a_process_that_is_killed_loses_nothing_that_it_made_and_nobody_needs_torch_for_it(here, fake, three):
    avca, ridge, cjme = three
    given = {"root": str(ROOT), "folder": str(here.folder), "pack": str(here.pack), "vectors": str(here.vectors)}
    killed = subprocess.run([sys.executable, "-c", KILLED.format(**given)], check=False, timeout=100)
    assert killed.returncode == -signal.SIGKILL
    assert not any(run.places.record.exists() for run in three), "nothing that Snakemake would remove"
    subprocess.run([sys.executable, "-c", ADOPTS.format(**given)], check=True, timeout=100)
    assert avca.places.record.is_file() and ridge.places.record.is_file()
    # What it died of is left to its own job.
    other = asked("sae")
    plan([other, cjme])
    make(other, here)
    assert fake.made == ["sae"]
    make(cjme, here)
    assert fake.made == ["sae", "cjme"]


def test_seeds_in_one_pass_are_trained_once(here, monkeypatch):
    teams: list[list[int]] = []
    before = training.train_together

    def spy(jobs: Any, *rest: Any) -> None:
        teams.append([job.seed for job in jobs])
        before(jobs, *rest)

    monkeypatch.setattr(training, "train_together", spy)
    runs = [asked("cjme", seed) for seed in (0, 1, 2)]
    plan(runs)
    here = replace(here, most_together=2)
    for run in runs:
        make(run, here)
    assert teams == [[0, 1], [1, 2], [2]]
    assert all(run.places.record.is_file() for run in runs)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    yield
    torch.set_num_threads(1)
