from __future__ import annotations

import json
from pathlib import Path

import pytest

from avzsl.report.croissant import croissant
from avzsl.report.results import open_benchmarks
from tests.report.world import CLIPS_PER_CLASS, World


def card(world: World, folder: Path) -> dict:
    benchmark = open_benchmarks(world.project, world.results)[0]
    return croissant(benchmark, world.project.dataset("toy"), folder)


def test_card_is_json_and_says_random_weights(world: World, tmp_path: Path) -> None:
    text = json.dumps(card(world, tmp_path), allow_nan=False)
    assert "random weights" in text
    assert "92 of 108" in text


def test_card_is_valid_croissant_and_reads_the_tables(world: World) -> None:
    mlc = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    folder = world.results / "report"
    folder.mkdir(exist_ok=True)
    path = folder / "card.json"
    path.write_text(json.dumps(card(world, folder)), encoding="utf-8")
    dataset = mlc.Dataset(jsonld=str(path))
    assert not dataset.metadata.ctx.issues.errors
    classes = list(dataset.records("classes"))
    assert len(classes) == 9
    assert {row["classes/listed"] for row in classes} == {CLIPS_PER_CLASS}
