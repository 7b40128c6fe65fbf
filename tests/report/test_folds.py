"""Several class splits of one benchmark are one row a method, compared fold by fold."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from avzsl.config.load import load_project
from avzsl.report import build, collect, summarise, terminal_table
from tests.report.world import World, make_world


@pytest.fixture(scope="module")
def folds(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Three class splits `toy-1` to `toy-3`, each a world of other runs."""
    worlds = [make_world(tmp_path_factory.mktemp("fold"), seed=k) for k in range(3)]
    world = worlds[0]
    for k, other in enumerate(worlds, 1):
        shutil.copytree(other.results / "benchmarks/toy", world.results / f"benchmarks/toy-{k}")
    shutil.copytree(world.results / "toy/splits/default", world.results / "toy/splits/drawn-1")
    path = world.root / "config/datasets/toy.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["splits"] = {"default": {}, "drawn": {"folds": 3}}
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    path = world.root / "config/config.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["benchmarks"] = {"toy": {**values["benchmarks"]["toy"], "split": "drawn"}}
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return World(world.root, load_project(path))


def test_a_row_is_the_mean_over_class_splits(folds: World) -> None:
    summary = summarise(folds.project, folds.results)
    assert list(summary.table["benchmark"]) == ["toy", "toy"]
    assert set(summary.runs["benchmark"]) == {"toy-1", "toy-2", "toy-3"}
    row = summary.table.iloc[0]
    by_fold = summary.runs[summary.runs["method"] == row["method"]].groupby("benchmark")["zsl"].mean()
    assert row["zsl_mean"] == pytest.approx(by_fold.mean())
    assert row["zsl_std"] == pytest.approx(by_fold.std(ddof=1))
    assert (row["folds"], row["split"]) == (3, "drawn")
    # Three of nine classes are tested as unseen: Student's t of 2 degrees, variance times 1/3 + (3/9) / (6/9).
    half = 4.302653 * by_fold.std(ddof=1) * np.sqrt(1 / 3 + 1 / 2)
    assert row["zsl_total_high"] == pytest.approx(min(by_fold.mean() + half, 100))


def test_terminal_and_page_say_what_holds_over_class_splits(folds: World, tmp_path: Path) -> None:
    text = terminal_table(collect(folds.project, folds.results))
    assert "toy: mean ± standard deviation and 95 % interval over 3 class splits" in text
    assert "over class splits" in text.split("interval over 3 class splits")[1]
    build(folds.project, folds.results, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "toy: its 3 class splits" in page
    assert "The features of toy come from networks with seeded random weights" in page
    assert 'data-benchmark="toy-1"' in page
    assert 'data-benchmark="toy-2"' not in page


def test_one_class_split_can_be_summed_up_alone(folds: World) -> None:
    own = summarise(folds.project, folds.results, "toy-2")
    assert list(own.table["benchmark"]) == ["toy-2", "toy-2"]
    whole = summarise(folds.project, folds.results, "toy")
    assert list(whole.table["folds"]) == [3, 3]
