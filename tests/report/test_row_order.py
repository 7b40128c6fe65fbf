"""The page says what the released row order costs, where a method was run with both orders, and nothing elsewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import yaml

from avzsl.config.load import SHIPPED, load_project
from avzsl.contracts.class_embeddings import ClassEmbeddings, write_embeddings
from avzsl.contracts.schemas import BENCHMARK_CLASSES, PREDICTIONS
from avzsl.contracts.tables import read_table, write_table
from avzsl.report import build, collect
from avzsl.report.row_order import explanation, row_order_costs, row_pairs
from tests.report.world import World, make_world

WRONG = ("bouncing bell", "rising bell")  # a seen class and an unseen one whose phrases change places in the order


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> World:
    """`cjme` made a variant of `avca` that differs in its rows alone: right but for one unseen class of three."""
    world = make_world(tmp_path_factory.mktemp("rows"))
    variant = {"variant_of": "avca", "title": "rows", "source": "D1", "training": {"class_rows": "as_released"}}
    (world.root / "config/methods/cjme.yaml").write_text(yaml.safe_dump(variant), encoding="utf-8")
    for path in world.results.glob("benchmarks/toy/runs/*/*/predictions.parquet"):
        table = read_table(path, PREDICTIONS)
        guess = table["class_name"]
        if path.parts[-3] == "cjme":
            guess = guess.where(guess != "rising bell", "rising flute")
        unseen = table["subset"] == "test_unseen"
        write_table(path, table.assign(predicted=guess, predicted_zsl=guess.where(unseen, None)), PREDICTIONS)
    names = list(read_table(world.results / "benchmarks/toy/classes.parquet", BENCHMARK_CLASSES)["class_name"])
    phrases = {name: name for name in names} | {WRONG[0]: WRONG[1], WRONG[1]: WRONG[0]}
    made = ClassEmbeddings(tuple(names), np.eye(len(names)), tuple(phrases.values()), {})
    write_embeddings(made, world.results / "toy" / "embeddings.safetensors")
    return World(world.root, load_project(world.root / "config/config.yaml"))


def test_the_numbers_are_those_of_the_predictions(pair: World) -> None:
    (cost,) = row_order_costs(pair.project, collect(pair.project, pair.results), pair.results)
    assert (cost.benchmark, cost.aligned, cost.released, cost.seeds) == ("toy", "avca", "cjme", 3)
    assert (cost.wrong, cost.classes, cost.wrong_unseen, cost.unseen) == (2, 9, 1, 3)
    seen, unseen, hm, zsl = cost.costs
    assert (seen.aligned, seen.released, seen.sure) == (100, 100, False)
    # One class of three all wrong: no draw of clips inside the classes changes that, so nothing says how sure it is.
    for value, expected in ((unseen, 100 / 3), (zsl, 100 / 3), (hm, 20)):
        np.testing.assert_allclose(value.comparison.difference, expected)
        assert value.aligned == 100
        assert value.comparison.interval is None
        assert not value.sure


def test_the_page_shows_them(pair: World, tmp_path: Path) -> None:
    build(pair.project, pair.results, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    section = page.split('<section id="row-order"')[1].split("</section>")[0]
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", section)).split())
    assert "toy corrected avca − cjme" in text
    assert "+33.33 too few clips or seeds for an interval 100.00 − 66.67" in text
    assert "+0.00 too few clips or seeds for an interval 100.00 − 100.00" in text
    assert "2 of 9 1 of 3 unseen test classes" in text
    assert "toy-released" not in text, "under as_released both have the released rows: no pair"
    assert str(tmp_path) not in section


def test_there_is_nothing_without_a_pair(world: World, tmp_path: Path) -> None:
    assert row_order_costs(world.project, collect(world.project, world.results), world.results) == []
    build(world.project, world.results, tmp_path / "index.html")
    assert (
        "row-order"
        not in (tmp_path / "index.html").read_text(encoding="utf-8").split('id="data"')[0].split("</style>")[1]
    )


def test_methods_pair_only_where_the_rows_alone_differ() -> None:
    values = {
        "benchmarks": "demo",
        "methods": ["cjme", "avca-minus-lw", "avca", "avca-released-rows", "avca-aligned-rows"],
    }
    project = load_project(SHIPPED / "config.yaml", values)
    benchmark = project.benchmarks["demo"]
    assert row_pairs(project, benchmark) == [("avca", "avca-released-rows")]
    assert row_pairs(project, replace(benchmark, preset="as_released")) == [("avca-aligned-rows", "avca")]


def test_the_explanation_is_linked_from_inside_the_checkout_only(tmp_path: Path) -> None:
    assert explanation(SHIPPED.parent / "results/report/index.html") == "../../docs/fidelity-methods.md"
    assert explanation(tmp_path / "index.html") is None
