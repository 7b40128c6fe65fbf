from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from avzsl.benchmark import assemble, load
from avzsl.benchmark.synthetic import SyntheticFiles, small, write
from avzsl.config.load import SHIPPED, Benchmark, Method
from avzsl.config.methods import MethodConfig, Overrides, TrainingConfig
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.schemas import HISTORY, PREDICTIONS
from avzsl.contracts.tables import read_table
from avzsl.methods import Dims
from avzsl.methods import Method as MethodBase
from avzsl.training import run as runs
from avzsl.training.evaluate import validate
from avzsl.training.run import run
from avzsl.training.sampling import DeviceData

torch.set_num_threads(1)
QUICK = TrainingConfig(epochs=4, batches_per_epoch=12, batch_size=32, checkpoint_seconds=1000)


def method(name: str, preset: str = "corrected", **training: object) -> Method:
    config = MethodConfig.model_validate(yaml.safe_load((SHIPPED / "methods" / f"{name}.yaml").read_text()))
    options = dict(config.options)
    options.update(config.presets.get(preset, Overrides()).options)  # type: ignore[call-overload]
    return Method(name, config, options, QUICK.model_copy(update=training))


def benchmark(preset: str = "corrected") -> Benchmark:
    return Benchmark("toy", "toy", "default", "synthetic", preset, ("avca",), (0,), Overrides())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SyntheticFiles]:
    folder = tmp_path_factory.mktemp("toy")
    counts, vectors = small((15, 5, 5), dim=50)
    files = write(folder / "in", counts, vectors, noise=0.3, dims=(48, 40))
    assemble(files.split, files.pack, [], files.embeddings, folder / "benchmark")
    return folder / "benchmark", files


def go(toy: tuple[Path, SyntheticFiles], out: Path, what: Method, seed: int = 0, preset: str = "corrected") -> dict:
    folder, files = toy
    run(folder, files.pack[0], files.embeddings, what, benchmark(preset), seed, out, device="cpu", threads=1)
    return json.loads((out / "run.json").read_text())


@pytest.mark.parametrize("preset", ["corrected", "as_released"])
@pytest.mark.parametrize("name", ["avca", "cjme"])
def test_a_run_learns_and_writes_everything(toy, tmp_path, name, preset):
    row = go(toy, tmp_path, method(name, preset, epochs=8, batches_per_epoch=25), preset=preset)
    assert row["zsl"] > 1.8 * row["chance"]["zsl"]
    assert row["hm"] > row["chance"]["hm"]
    history = read_table(tmp_path / "history.parquet", HISTORY)
    assert (history["seconds"] > 0).all() and history["seconds"].sum() <= row["seconds"] < 600
    assert list(history["stage"]) == [1] * 8 + [2] * row["epoch"]
    assert history.loc[history["stage"] == 1, "selected"].sum() == 1
    predictions = read_table(tmp_path / "predictions.parquet", PREDICTIONS)
    arrays, header = read_arrays(tmp_path / "scores.safetensors")
    assert list(predictions["clip_id"]) == header["clip_ids"]
    assert arrays["distances"].shape == (len(predictions), len(header["class_names"]))
    assert not (tmp_path / "checkpoint.pt").exists()
    # S, U and ZSL once more, by plain pandas.
    per_class = (predictions["predicted"] == predictions["class_name"]).groupby(predictions["class_name"]).mean()
    seen = dict(zip(header["class_names"], header["seen"], strict=True))
    assert row["seen"] == pytest.approx(100 * per_class[[c for c in per_class.index if seen[c]]].mean())
    assert row["unseen"] == pytest.approx(100 * per_class[[c for c in per_class.index if not seen[c]]].mean())
    unseen = predictions.dropna(subset=["predicted_zsl"])
    zsl = (unseen["predicted_zsl"] == unseen["class_name"]).groupby(unseen["class_name"]).mean().mean()
    assert row["zsl"] == pytest.approx(100 * zsl)


def test_same_seed_same_result_and_another_seed_another(toy, tmp_path):
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        go(toy, tmp_path / out, method("avca"), seed)
    a, b, c = (read_arrays(tmp_path / out / "scores.safetensors")[0]["distances"] for out in "abc")
    assert np.array_equal(a, b)
    assert not np.allclose(a, c)


@pytest.mark.parametrize("name", ["avca", "ridge"])
def test_a_pack_that_stays_on_the_disk_gives_the_same_run(toy, tmp_path, monkeypatch, name):
    held = go(toy, tmp_path / "held", method(name))
    monkeypatch.setattr("avzsl.benchmark.data.HELD", 0)
    monkeypatch.setattr("avzsl.contracts.mapped.SCATTERED", 5)
    folder, files = toy
    assert isinstance(load(folder, files.pack[0], files.embeddings).audio, np.memmap)
    mapped = go(toy, tmp_path / "mapped", method(name))
    for key in ("seen", "unseen", "hm", "zsl", "beta", "epoch", "retrieval"):
        assert held[key] == mapped[key]
    one, other = (read_arrays(tmp_path / where / "scores.safetensors")[0] for where in ("held", "mapped"))
    assert all((one[key] == other[key]).all() for key in one)


@pytest.fixture(scope="module", params=[("avca", "as_released"), ("cjme", "corrected")], ids="-".join)
def whole(request, toy, tmp_path_factory) -> tuple[str, str, Path, dict]:
    """A run that was not stopped: method, preset, folder, content of run.json."""
    name, preset = request.param
    out = tmp_path_factory.mktemp("whole")
    what = method(name, preset, checkpoint_seconds=0.0, epochs=3, batches_per_epoch=8)
    return name, preset, out, go(toy, out, what, preset=preset)


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_a_stopped_run_continues_to_the_identical_result(toy, whole, tmp_path, monkeypatch, stop):
    name, preset, folder, finished = whole
    what = method(name, preset, checkpoint_seconds=0.0, epochs=3, batches_per_epoch=8)
    if finished["epoch"] + 3 <= stop:
        pytest.skip("the run is shorter than where it should be stopped")
    calls = 0
    kind = type(_make(name))
    original = kind.epoch

    def failing(self, *args):
        nonlocal calls
        calls += 1
        if calls > stop:
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(kind, "epoch", failing)
    with pytest.raises(KeyboardInterrupt):
        go(toy, tmp_path / "cut", what, preset=preset)
    monkeypatch.setattr(kind, "epoch", original)
    assert not (tmp_path / "cut" / "run.json").exists()
    resumed = go(toy, tmp_path / "cut", what, preset=preset)
    for key in ("seen", "unseen", "hm", "zsl", "beta", "epoch", "per_class"):
        assert resumed[key] == finished[key]
    for file in ("scores.safetensors", "model.safetensors"):
        assert (tmp_path / "cut" / file).read_bytes() == (folder / file).read_bytes()


def _make(name: str) -> torch.nn.Module:
    from avzsl.methods import Dims, build

    what = method(name)
    return build(what.config.module, Dims(8, 8, 8), what.options)


def test_a_checkpoint_that_cannot_be_read_is_not_used(toy, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    first = go(toy, tmp_path, method("cjme"))
    assert first["epoch"] >= 1


@pytest.mark.parametrize("change", ["option", "training", "preset", "seed", "features"])
def test_a_checkpoint_of_another_configuration_is_not_used(toy, tmp_path, monkeypatch, change):
    """A run is stopped, and what is run in its folder next differs in one thing: it starts from the beginning."""

    def what(**training: object) -> Method:
        return method("cjme", checkpoint_seconds=0.0, epochs=2, batches_per_epoch=4, **training)

    first, second, seed, preset, files = what(), what(), 0, "corrected", toy
    if change == "option":
        second.options["margin"] = 0.25
    if change == "training":
        second = what(lr=0.01)
    if change == "preset":
        preset = "as_released"
    if change == "seed":
        seed = 1
    if change == "features":
        counts, vectors = small((15, 5, 5), dim=50)
        other = write(tmp_path / "in", counts, vectors, noise=0.3, dims=(48, 40), seed=1)
        assemble(other.split, other.pack, [], other.embeddings, tmp_path / "benchmark")
        files = tmp_path / "benchmark", other
    kind = type(_make("cjme"))
    original, calls = kind.epoch, []

    def failing(self, *args):
        calls.append(self)
        if len(calls) > 1:
            raise KeyboardInterrupt
        return original(self, *args)

    monkeypatch.setattr(kind, "epoch", failing)
    with pytest.raises(KeyboardInterrupt):
        go(toy, tmp_path / "cut", first)
    monkeypatch.setattr(kind, "epoch", original)
    assert (tmp_path / "cut" / "checkpoint.pt").exists()
    for out in ("cut", "fresh"):
        go(files, tmp_path / out, second, seed, preset)
    cut, fresh = (read_table(tmp_path / out / "history.parquet", HISTORY) for out in ("cut", "fresh"))
    # Stage 2 begins anew in any case; what stage 1 brought along shows in its losses.
    assert cut.drop(columns="seconds").equals(fresh.drop(columns="seconds"))
    for file in ("scores.safetensors", "model.safetensors"):
        assert (tmp_path / "cut" / file).read_bytes() == (tmp_path / "fresh" / file).read_bytes()


def test_tiny_subsets_and_single_clips_run(tmp_path):
    counts, vectors = small((3, 1, 2), clips=1)
    files = write(tmp_path / "in", counts, vectors)
    assemble(files.split, files.pack, [], files.embeddings, tmp_path / "benchmark")
    row = go((tmp_path / "benchmark", files), tmp_path / "run", method("avca", epochs=2, batches_per_epoch=3))
    assert 0 <= row["hm"] <= 100
    row = go((tmp_path / "benchmark", files), tmp_path / "run2", method("cjme", epochs=2, batches_per_epoch=3))
    assert 0 <= row["zsl"] <= 100


def test_stage_two_replays_the_learning_rates_of_stage_one(toy, tmp_path):
    go(toy, tmp_path, method("cjme", epochs=14, batches_per_epoch=4, patience=0, lr_factor=0.5))
    history = read_table(tmp_path / "history.parquet", HISTORY)
    first, second = (history[history["stage"] == stage] for stage in (1, 2))
    assert first["lr"].nunique() > 1
    assert second["lr"].tolist() == first["lr"].tolist()[: len(second)]
    assert second["hm"].isna().all()


def test_as_released_schedules_stage_two_by_its_own_score(toy, tmp_path):
    what = method("cjme", "as_released", epochs=10, batches_per_epoch=6, patience=0, lr_factor=0.5)
    row = go(toy, tmp_path, what, preset="as_released")
    history = read_table(tmp_path / "history.parquet", HISTORY)
    for stage in (1, 2):
        part = history[history["stage"] == stage]
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, mode="max", factor=0.5, patience=0)
        for lr, hm in zip(part["lr"], part["hm"], strict=True):
            assert lr == optimiser.param_groups[0]["lr"]
            plateau.step(hm)
    # The mean of three best betas, which need not lie on the grid.
    assert row["config"]["training"]["beta"] == "mean"


@pytest.mark.parametrize("change", [{"precision": "bfloat16"}, {"precision": "float64"}, {"calibration": "exact"}])
def test_other_arithmetic_and_calibration_run(toy, tmp_path, change):
    row = go(toy, tmp_path, method("avca", **change))
    assert row["hm"] > 0
    if change.get("calibration"):
        assert row["beta"] not in np.linspace(0, 3, 16, dtype=np.float32)


@pytest.mark.slow
def test_a_compiled_loss_learns_the_same(toy, tmp_path, monkeypatch):
    # torch's compiler asks every loaded module for attributes, at which a placeholder of yt-dlp raises.
    for name in [name for name in sys.modules if name.split(".")[0] == "yt_dlp"]:
        monkeypatch.delitem(sys.modules, name)
    plain = go(toy, tmp_path / "plain", method("cjme", epochs=2))
    compiled = go(toy, tmp_path / "compiled", method("cjme", epochs=2, compile=True))
    assert compiled["zsl"] == pytest.approx(plain["zsl"], abs=25)


def test_a_training_that_diverges_says_so(toy, tmp_path):
    from avzsl.contracts.errors import AvzslError

    with pytest.raises(AvzslError, match=r"diverged|not finite"):
        go(toy, tmp_path, method("cjme", lr=1e30, batches_per_epoch=30))


class Fixed(MethodBase):
    """Outputs whose best betas are known."""

    def distances(self, audio, visual, classes):
        outputs = {}
        for key, beta in self.options["best"].items():
            # Seen clips are right below `beta`'s cell, unseen ones from it on: the best beta is the first of the cell.
            d = torch.full((len(audio), len(classes)), 50.0)
            rows = torch.arange(len(audio))
            d[rows, self.options["labels"]] = 10.0
            seen = torch.as_tensor(self.options["seen"])
            true_seen = seen[self.options["labels"]]
            other_seen, other_unseen = int(seen.nonzero()[0]), int((~seen).nonzero()[0])
            d[rows[true_seen], other_unseen] = 10.0 + beta + 0.1
            d[rows[~true_seen], other_seen] = 10.0 - beta + 0.1
            outputs[key] = d
        return outputs


def test_the_released_beta_is_the_mean_of_the_outputs_and_never_zero(toy):
    folder, files = toy
    data = load(folder, files.pack[0], files.embeddings)
    source = DeviceData(data, torch.device("cpu"), "float32")
    part, (members, seen) = data.subset("val_seen", "val_unseen"), data.candidates(1)
    labels = torch.from_numpy(np.searchsorted(members, part.labels))
    for best, mean in (({"audio": 0.2, "visual": 0.6, "both": 1.0}, 0.6), ({"both": 0.0}, 1e-10)):
        what = Fixed(Dims(1, 1, 1), {"best": best, "labels": labels, "seen": seen})
        scores, beta = validate(what, source, TrainingConfig(beta="mean"))
        assert scores.hm == pytest.approx(1.0)
        assert scores.beta == pytest.approx(best["both"])
        assert beta == pytest.approx(mean)
        assert validate(what, source, TrainingConfig(beta="reported"))[1] == pytest.approx(best["both"])


@pytest.mark.parametrize("clips,passes,expected", [(126, 10, 20), (5, 1, 1), (10**6, 10, 500), (126, None, 500)])
def test_batches_per_epoch_follow_the_data(clips: int, passes: int | None, expected: int) -> None:
    training = TrainingConfig(batch_size=64, clip_passes=passes)
    assert training.for_clips(clips).batches_per_epoch == expected


def test_stage_1_ends_when_validation_gets_no_better(toy, tmp_path):
    # Without learning no epoch is better than the first.
    row = go(
        toy, tmp_path / "a", method("cjme", epochs=12, batches_per_epoch=1, lr=1e-12, stop_epochs=2, clip_passes=1)
    )
    history = read_table(tmp_path / "a" / "history.parquet", HISTORY)
    first = history[history["stage"] == 1]
    best = int(first.loc[first["selected"], "epoch"].iloc[0])
    assert len(first) == best + 2 < 12
    assert row["config"]["training"]["batches_per_epoch"] == 1
    # One pass over the 120 clips of `train`, 32 at a time; stage 2, with more clips, draws as many.
    row = go(toy, tmp_path / "b", method("devise", epochs=1, batches_per_epoch=50, clip_passes=1))
    assert row["config"]["training"]["batches_per_epoch"] == 4


def test_a_run_takes_one_thread_unless_told_otherwise(toy, tmp_path, monkeypatch):
    folder, files = toy
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    run(folder, files.pack[0], files.embeddings, method("ridge"), benchmark(), 0, tmp_path, device="cpu")
    assert asked == [1]
    row = json.loads((tmp_path / "run.json").read_text())
    assert row["hardware"] == {"device": "cpu", "machine": platform.machine(), "threads": 1}
    assert 0 < row["seconds"] < 600


def test_settings_of_a_closed_form_are_all_tried_whatever_ends_a_path(toy, tmp_path):
    what = method("ridge", stop_epochs=1)
    row = go(toy, tmp_path, what)
    history = read_table(tmp_path / "history.parquet", HISTORY)
    tried = history.loc[history["stage"] == 1, "epoch"].tolist()
    assert tried == list(range(1, len(what.options["regularisation"]) + 1))
    assert history.loc[history["stage"] == 2, "epoch"].tolist() == [row["epoch"]]


@pytest.mark.parametrize("share,percent", [(None, None), (float("nan"), None), (0.0, 0.0), (0.25, 25.0), (1.0, 100.0)])
def test_shares_are_written_in_percent_and_what_is_no_number_as_null(share, percent):
    assert runs._percent(share) == percent
