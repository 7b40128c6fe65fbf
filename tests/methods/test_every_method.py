"""Every method that comes with avzsl, through the whole protocol on a tiny benchmark."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from avzsl.benchmark import assemble
from avzsl.benchmark.synthetic import SyntheticFiles, small, write
from avzsl.benchmark.synthetic_steps import write_steps
from avzsl.config.layers import method_names
from avzsl.config.load import SHIPPED, Project, load_project
from avzsl.contracts.errors import ConfigError
from avzsl.contracts.schemas import HISTORY
from avzsl.contracts.tables import read_table
from avzsl.evaluation.recompute import recompute
from avzsl.methods import Dims, build
from avzsl.training.run import run

FILES = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in (SHIPPED / "methods").glob("*.yaml")}
# nearest-phrase runs on the features of its taggers alone: tests/methods/test_nearest_phrase.py
# clip-zeroshot needs the text of its two networks: tests/methods/test_clip_zeroshot.py
METHODS = sorted(set(FILES) - {"nearest-phrase", "clip-zeroshot"})
VARIANTS = sorted(set(method_names(SHIPPED)) - set(FILES))
CLOSED = {"ridge", "prototype", "eszsl", "sae", "conse", "gcca", "pretrained"}
TINY = {"epochs": 2, "batches_per_epoch": 2, "batch_size": 16}


def project(
    folder: Path, preset: str = "corrected", methods: list[str] | None = None, training: dict | None = None
) -> Project:
    data = {"catalog": {"module": "demo"}, "embeddings": {"table": "demo"}, "methods": {"training": training or TINY}}
    (folder / "datasets").mkdir(parents=True, exist_ok=True)
    (folder / "datasets" / "toy.yaml").write_text(yaml.safe_dump(data))
    values = {
        "benchmarks": {"toy": {"dataset": "toy"}},
        "methods": methods or method_names(SHIPPED),
        "seeds": [0],
        "preset": preset,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(values))
    return load_project(folder / "config.yaml")


def made(
    folder: Path, counts: tuple[int, int, int], dims: tuple[int, int], steps: bool = False
) -> tuple[Path, SyntheticFiles]:
    """Return a benchmark of so many classes a role and so wide features, and the files it is made of."""
    clips, vectors = small(counts, clips=5, dim=8)
    files = write(folder / "in", clips, vectors, dims=dims, noise=0.2)
    if steps:
        write_steps(files, {"audio": (1, 4), "visual": (2, 6)}, step_seconds=(0.96, 0.64))
    assemble(files.split, files.pack, [], files.embeddings, folder / "benchmark")
    return folder / "benchmark", files


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SyntheticFiles]:
    return made(tmp_path_factory.mktemp("toy"), (6, 3, 3), (10, 12), steps=True)


@pytest.fixture(scope="module")
def c3d_vggish(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SyntheticFiles]:
    """As wide as C3D's and VGGish's features."""
    return made(tmp_path_factory.mktemp("c3d_vggish"), (6, 3, 3), (128, 4096), steps=True)


@pytest.fixture(scope="module")
def unequal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SyntheticFiles]:
    """As unequal as C3D's and VGGish's features, an eighth as wide: what a closed form costs grows with the cube."""
    return made(tmp_path_factory.mktemp("unequal"), (6, 3, 3), (16, 512))


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SyntheticFiles]:
    """More classes, so that a generator has something to generalise from."""
    return made(tmp_path_factory.mktemp("wide"), (20, 6, 6), (30, 30))


def go(toy: tuple[Path, SyntheticFiles], out: Path, name: str, preset: str = "corrected", **training: object) -> dict:
    configured = project(out / "config", preset, [name], {**TINY, **training})
    benchmark = configured.benchmarks["toy"]
    folder, files = toy
    method = configured.method(name, benchmark)
    steps = files.pack[0].with_name("steps.safetensors") if method.config.inputs == "sequences" else None
    run(folder, files.pack[0], files.embeddings, method, benchmark, 0, out, device="cpu", steps=steps)
    recompute(out)
    return json.loads((out / "run.json").read_text())


@pytest.mark.parametrize("preset", ["corrected", "as_released"])
@pytest.mark.parametrize("name", METHODS)
def test_a_method_runs_under_both_presets(toy, tmp_path, name, preset):
    row = go(toy, tmp_path, name, preset)
    assert 0 <= row["hm"] <= 100
    history = read_table(tmp_path / "history.parquet", HISTORY)
    second = history[history["stage"] == 2]
    if name in CLOSED:  # stage 2 solves the chosen setting and no other
        assert second["epoch"].tolist() == [row["epoch"]]
        grid = {key: value for key, value in row["config"]["options"].items() if isinstance(value, list)}
        assert (history["stage"] == 1).sum() == np.prod([len(v) for v in grid.values()] or [1])
        assert all(row["chosen"][key] in value for key, value in grid.items())
    else:
        assert second["epoch"].tolist() == list(range(1, row["epoch"] + 1))


@pytest.mark.parametrize("preset", ["corrected", "as_released"])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_runs(toy, tmp_path, name, preset):
    row = go(toy, tmp_path, name, preset)
    assert 0 <= row["hm"] <= 100


@pytest.mark.parametrize(
    "name,zsl", [("ridge", 90.0), ("prototype", 60.0), ("eszsl", 90.0), ("sae", 80.0), ("conse", 60.0), ("gcca", 80.0)]
)
def test_closed_form_methods_transfer(toy, tmp_path, name, zsl):
    row = go(toy, tmp_path, name)
    assert row["zsl"] >= zsl


@pytest.mark.parametrize("name", ["ale", "sje", "devise", "apn", "avgzslnet", "fvaegan", "concat"])
def test_trained_methods_transfer(wide, tmp_path, name):
    batches = 60 if name == "fvaegan" else 30
    row = go(wide, tmp_path, name, epochs=8, batches_per_epoch=batches, batch_size=32)
    assert row["zsl"] > 2.5 * row["chance"]["zsl"]


def test_a_stopped_closed_form_run_continues_to_the_identical_result(toy, tmp_path, monkeypatch):
    whole = go(toy, tmp_path / "whole", "ridge", checkpoint_seconds=0.0)
    kind = type(build("ridge", Dims(1, 1, 1), FILES["ridge"]["options"]))
    original, calls = kind.solve, []

    def failing(self, *args, **setting):
        calls.append(setting)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(self, *args, **setting)

    monkeypatch.setattr(kind, "solve", failing)
    with pytest.raises(KeyboardInterrupt):
        go(toy, tmp_path / "cut", "ridge", checkpoint_seconds=0.0)
    again = go(toy, tmp_path / "cut", "ridge", checkpoint_seconds=0.0)
    assert len(calls) == 5 + 5 + 1  # four settings were not solved again
    assert {k: again[k] for k in ("hm", "zsl", "beta", "epoch", "chosen")} == {
        k: whole[k] for k in ("hm", "zsl", "beta", "epoch", "chosen")
    }
    assert (tmp_path / "cut/scores.safetensors").read_bytes() == (tmp_path / "whole/scores.safetensors").read_bytes()


@pytest.mark.parametrize(
    "values,message",
    [
        ({"variant_of": "nothing"}, "nothing"),
        ({"variant_of": "avca-visual"}, "itself a variant"),
        ({"variant_of": "mine"}, "itself a variant"),
        ({"variant_of": "avca", "options": {"loss_bass": False}}, "loss_bass"),
        ({"variant_of": "avca", "options": {"loss_base": 1.5}}, "options.loss_base: must be true or false, got 1.5"),
    ],
)
def test_a_wrong_variant_is_one_readable_line(tmp_path, values, message):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "mine.yaml").write_text(
        yaml.safe_dump({"title": "Mine", "source": "me", "options": {}, **values})
    )
    with pytest.raises(ConfigError, match=message) as error:
        project(tmp_path, methods=["mine"])
    assert "\n" not in str(error.value)


# Everything that AVCA's supplement and TCaF report on these features.
ON_C3D_VGGISH = ("ale", "sje", "devise", "apn", "cjme", "avgzslnet", "avca", "tcaf")


@pytest.mark.parametrize("name", [*ON_C3D_VGGISH, "avca-hyper"])
def test_widths_of_c3d_and_vggish(c3d_vggish, tmp_path: Path, name: str) -> None:
    result = go(c3d_vggish, tmp_path / "run", name)
    assert result["hm"] is not None


@pytest.mark.parametrize("name", ["ridge", "prototype", "eszsl", "conse", "gcca"])
def test_a_closed_form_of_unequal_widths(unequal, tmp_path: Path, name: str) -> None:
    result = go(unequal, tmp_path / "run", name)
    assert result["hm"] is not None


@pytest.mark.parametrize("features", ["c3d-vggish", "c3d-vggish-as-released", "c3d-vggish-as-released-activitynet"])
@pytest.mark.parametrize("dataset", ["ucf", "activitynet", "vggsound"])
def test_settings_of_the_released_scripts_for_these_features(tmp_path: Path, dataset: str, features: str) -> None:
    values = {
        "benchmarks": {"b": {"dataset": dataset, "features": features, "split": "published_cls"}},
        "methods": list(ON_C3D_VGGISH), "seeds": [0], "preset": "as_released",
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    configured = load_project(tmp_path / "config.yaml")
    found = {name: configured.method(name, configured.benchmarks["b"]) for name in ON_C3D_VGGISH}
    avca = found["avca"].options
    dropout = {"ucf": (0.2, 0.3, 0.5), "activitynet": (0.2, 0.2, 0.1), "vggsound": (0.0, 0.0, 0.0)}[dataset]
    assert avca["last_bn_momentum"] == 0.99
    assert tuple(avca[f"{part}_dropout"] for part in ("encoder", "projection", "decoder")) == dropout
    assert found["avca"].training.batch_size == 256
    assert all(found[name].options["unit_inputs"] for name in ("ale", "sje", "devise", "apn"))
    assert found["cjme"].options["dropout"] == (0.0 if dataset == "vggsound" else 0.2)
    assert found["tcaf"].options["visual_step_seconds"] == 0.64
    assert found["tcaf"].options["encoder_hidden"] == 512
