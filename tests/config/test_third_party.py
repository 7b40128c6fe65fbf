"""A method, an extractor, a catalogue and an embedding backend of somebody else, as the guides show them."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from avzsl.cli.check import check_project
from avzsl.config import plugins
from avzsl.config.dataset import DatasetConfig
from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.config.features import FeaturesConfig
from avzsl.config.load import load_project
from avzsl.config.schema import json_schema
from avzsl.contracts.errors import ConfigError, DataError
from avzsl.embeddings import embed_classes
from avzsl.methods import Batch, Clips, Dims, build
from extractors.base import find_extractor, options_of
from splits.catalogs import build_catalog

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDES = {
    "linear": ("add-a-method.md", 0, "avzsl.methods"),
    "brightness": ("add-an-extractor.md", 0, "avzsl.extractors"),
    "listed": ("add-a-catalogue.md", 0, "avzsl.catalogs"),
    "letters": ("add-a-catalogue.md", 1, "avzsl.embeddings"),
}


def code(name: str) -> str:
    file, number, _ = GUIDES[name]
    return re.findall(r"```python\n(.*?)```", (DOCS / file).read_text(encoding="utf-8"), re.DOTALL)[number]


@pytest.fixture(params=["entry point", "package.module"])
def named(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Install a package with the four guides' modules; return how a configuration names them."""
    package = tmp_path / "site" / "theirs"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name in GUIDES:
        (package / f"{name}.py").write_text(code(name), encoding="utf-8")
    if request.param == "entry point":
        info = tmp_path / "site" / "theirs-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n", encoding="utf-8")
        lines = [f"[{group}]\n{name} = theirs.{name}\n" for name, (_, _, group) in GUIDES.items()]
        (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()
    yield {name: name if request.param == "entry point" else f"theirs.{name}" for name in GUIDES}
    for module in [module for module in sys.modules if module.split(".")[0] == "theirs"]:
        del sys.modules[module]


def test_all_four_in_one_configuration(named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("clips.tsv").write_text("dog\taaa\t3\ncat\tbbb\t0\n")
    values = {
        "datasets/listed.yaml": {
            "catalog": {"module": named["listed"], "list": "clips.tsv", "seconds": 5},
            "embeddings": {"backend": named["letters"]},
            "features": "brightness",
        },
        "features/brightness.yaml": {"extractor": named["brightness"], "least_seconds": 0.2},
        "methods/linear.yaml": {"title": "L", "source": "me", "module": named["linear"], "options": {"margin": 0.3}},
        "config.yaml": {"benchmarks": ["listed"], "methods": ["linear"], "seeds": [0]},
    }
    for name, content in values.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(yaml.safe_dump(content))
    project = load_project("config.yaml")
    check_project(project)
    assert project.method("linear", project.benchmarks["listed"]).options == {"margin": 0.3}
    for file, change, says in (
        (
            "datasets/listed.yaml",
            {"catalog": {"module": named["listed"], "list": "no.tsv"}},
            r"catalog\.list: there is no",
        ),
        (
            "datasets/listed.yaml",
            {"embeddings": {"backend": named["letters"], "alphabet": ""}},
            r"embeddings\.alphabet",
        ),
        ("features/brightness.yaml", {"least_seconds": -1}, "least_seconds: must be more than 0, got -1"),
        ("methods/linear.yaml", {"options": {"margin": -1.0}}, r"options\.margin: must be at least 0, got -1"),
    ):
        (tmp_path / file).write_text(yaml.safe_dump({**values[file], **change}))
        with pytest.raises(ConfigError, match=says):
            check_project(load_project("config.yaml"))
        (tmp_path / file).write_text(yaml.safe_dump(values[file]))


def test_a_method(named):
    method = build(named["linear"], Dims(4, 5, 3), {"margin": 0.5})
    assert method.margin == 0.5
    clips = Clips(torch.rand(6, 4), torch.rand(6, 5), torch.rand(6, 3), torch.arange(6) % 2)
    assert torch.isfinite(method.loss(Batch(clips, clips, torch.rand(2, 3))))
    assert method.distances(clips.audio, clips.visual, torch.rand(2, 3))["both"].shape == (6, 2)


def test_an_extractor(named, tmp_path):
    features = FeaturesConfig.model_validate({"extractor": named["brightness"], "least_seconds": 0.25})
    assert options_of(features).least_seconds == 0.25
    assert find_extractor(features.extractor).load(options_of(features), "cpu", 1, tmp_path).visual_dim == 3


def test_a_catalogue(named, tmp_path):
    (tmp_path / "clips.tsv").write_text("dog\taaa\t3\ncat\tbbb\t0\n")
    values = {
        "catalog": {"module": named["listed"], "list": str(tmp_path / "clips.tsv")},
        "embeddings": {"table": "demo"},
        "phrases": {"dog": "a dog"},
    }
    catalog = build_catalog("mine", DatasetConfig.model_validate(values), tmp_path)
    assert list(catalog.clips["clip_id"]) == ["aaa_3", "bbb_0"]
    assert list(catalog.classes["phrase"]) == ["cat", "a dog"]
    (tmp_path / "clips.tsv").write_text("dog aaa 3\n")
    with pytest.raises(DataError, match=r"clips\.tsv, line 1: expected CLASS, id and start"):
        build_catalog("mine", DatasetConfig.model_validate(values), tmp_path)


def test_an_embedding_backend(named):
    table = pd.DataFrame({"class_name": ["a", "b"], "phrase": ["bab", "b"]})
    made = embed_classes(table, EmbeddingsConfig.model_validate({"backend": named["letters"], "alphabet": "ab"}))
    np.testing.assert_allclose(made.vectors, np.array([[1, 2], [0, 5**0.5]]) / 5**0.5, atol=1e-6)
    assert made.backend["backend"] == named["letters"] and made.backend["alphabet"] == "ab"
    with pytest.raises(Exception, match="of 2 of 2 classes: 'a'"):
        embed_classes(table, EmbeddingsConfig.model_validate({"backend": named["letters"], "alphabet": "xyz"}))


def test_what_is_installed_is_known_by_name_and_in_the_schema(named):
    if "." in named["linear"]:
        pytest.skip("only entry points have short names")
    with pytest.raises(ConfigError, match="did you mean 'letters'"):
        plugins.module_name(plugins.BACKEND, "leters")
    rules = json_schema("features")["allOf"]
    assert any("least_seconds" in rule["then"]["properties"] for rule in rules)


def test_a_package_cannot_take_the_name_of_one_of_ours(tmp_path, monkeypatch):
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[avzsl.methods]\navca = theirs.avca\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert plugins.module_name(plugins.METHOD, "avca") == "avzsl.methods.avca"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import nothing_of_that_name\n", "module broken cannot be imported: ModuleNotFoundError: No module named"),
        ("x = 1\n", "module broken has no `class Options"),
        ("raise RuntimeError('boom')\n", "module broken cannot be imported: RuntimeError: boom"),
    ],
)
def test_a_broken_module_is_one_sentence(tmp_path, monkeypatch, text, says):
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("broken", None)
    monkeypatch.setattr(plugins, "registered", lambda kind: {"b": "broken"})
    with pytest.raises(ConfigError, match=re.escape(says)):
        plugins.options_model(plugins.METHOD, "b")
