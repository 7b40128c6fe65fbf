"""Defaults, layers and mistakes of the configuration, without Snakemake."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from avzsl.config.layers import method_names
from avzsl.config.load import SHIPPED, load_project
from avzsl.contracts.errors import ConfigError


def project_of(folder: Path, **values: object) -> Path:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"benchmarks": "demo"} | values), encoding="utf-8")
    return path


@pytest.mark.parametrize("short", ["demo", ["demo"], {"demo": None}, {"demo": {"dataset": "demo"}}])
def test_the_short_forms_of_benchmarks_mean_the_same(short: object) -> None:
    project = load_project(values={"benchmarks": short})
    assert project.benchmarks == load_project().benchmarks


def test_several_benchmarks_in_one_string() -> None:
    assert list(load_project(values={"benchmarks": "ucf, demo"}).benchmarks) == ["ucf", "demo"]


def test_every_shipped_file_is_right() -> None:
    methods = method_names(SHIPPED)
    datasets = sorted(path.stem for path in (SHIPPED / "datasets").glob("*.yaml"))
    for preset in ("corrected", "as_released"):
        project = load_project(values={"benchmarks": datasets, "methods": methods, "preset": preset})
        for benchmark in project.benchmarks.values():
            for name in methods:
                project.method(name, benchmark)
    for path in (SHIPPED / "features").glob("*.yaml"):
        project.features(path.stem)


def test_a_file_beside_the_configuration_comes_first(tmp_path: Path) -> None:
    (tmp_path / "methods").mkdir()
    own = yaml.safe_load((SHIPPED / "methods/cjme.yaml").read_text(encoding="utf-8")) | {"title": "mine"}
    (tmp_path / "methods/cjme.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    project = load_project(project_of(tmp_path))
    assert project.method("cjme", project.benchmarks["demo"]).config.title == "mine"


def test_overrides_win_over_the_data_set_and_keep_their_kind(tmp_path: Path) -> None:
    overrides = {"training": {"epochs": 3}, "options": {"margin": 2}}
    project = load_project(project_of(tmp_path, benchmarks={"b": {"dataset": "demo", "overrides": overrides}}))
    method = project.method("avca", project.benchmarks["b"])
    assert method.training.epochs == 3
    assert method.options["margin"] == 2.0 and isinstance(method.options["margin"], float)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (
            {"options": {"margin": "wide"}},
            "benchmarks.b.overrides.options.margin: must be a number, without quotes, got 'wide'",
        ),
        ({"options": {"loss_word": 1}}, "loss_word: must be true or false, got 1"),
        ({"training": {"epoch": 1}}, "epoch: unknown key"),
        ({"training": {"epochs": 0}}, "epochs: must be more than 0, got 0"),
    ],
)
def test_a_wrong_override_names_method_and_key(tmp_path: Path, overrides: dict[str, object], says: str) -> None:
    path = project_of(tmp_path, benchmarks={"b": {"dataset": "demo", "overrides": overrides}})
    with pytest.raises(ConfigError, match=says):
        load_project(path)


def test_broken_yaml_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("benchmarks:\n  demo: [\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.yaml, line \d+: is not valid YAML"):
        load_project(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        load_project(tmp_path / "nowhere.yaml")
