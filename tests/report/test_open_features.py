import json
from pathlib import Path

import pytest

from avzsl.contracts.atomic import write_json
from avzsl.report import build, collect, terminal_table
from avzsl.report.open_features import mark, open_features
from avzsl.report.results import open_benchmarks
from tests.report.world import HOSTILE, World, make_world


def change(path: Path, **values: object) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("checksum", None)
    write_json(path, content | values)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The benchmark `toy` on features of networks that know a seen and an unseen class; avca has figures without them."""
    world = make_world(tmp_path, random_weights=False)
    folder = world.results / "benchmarks" / "toy"
    record = json.loads((folder / "benchmark.json").read_text(encoding="utf-8"))
    extractor = record["extractor"] | {"label_sets": ["audioset", "imagenet1k"]}
    named = {
        "audioset": {HOSTILE: ["Bark"], "rising flute": ["Flute", "Whistle"]},
        "imagenet1k": {"rising flute": ["flute"]},
    }
    change(folder / "benchmark.json", extractor=extractor, named=named)
    for seed in (0, 1, 2):
        scores = {"seen": 5.0, "unseen": 10.0 + seed, "hm": 12.5, "zsl": 33.25}
        change(folder / "runs" / "avca" / f"seed-{seed}" / "run.json", outputs={"unnamed": scores})
    return world


def test_touched_classes_and_both_figures(world: World) -> None:
    toy, other = open_benchmarks(world.project, world.results)
    assert open_features(other) is None
    found = open_features(toy)
    assert found is not None
    assert found["named"] == ["rising flute"]
    [(method, full, without)] = found["rows"]
    assert (method, without) == ("avca", [11.0, 12.5, 33.25])
    assert full != without


def test_the_page_and_the_table_bear_the_mark(world: World, tmp_path: Path) -> None:
    build(world.project, world.results, tmp_path / "page" / "index.html")
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "which name 1 of the" in page
    assert "avoid: [audioset, imagenet1k]" in page
    assert "33.25" in page or "33.2" in page
    assert "Flute, Whistle" in page
    assert HOSTILE not in page
    assert "open (AudioSet, ImageNet-1k)" in page
    shown = " ".join(terminal_table(collect(world.project, world.results), 200).split())
    assert "OPEN FEATURES" in shown


def test_a_split_that_avoided_them_is_told_so(world: World, tmp_path: Path) -> None:
    change(
        world.results / "benchmarks" / "toy" / "benchmark.json",
        named={"audioset": {HOSTILE: ["Bark"]}, "imagenet1k": {}},
    )
    build(world.project, world.results, tmp_path / "page" / "index.html")
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "which name none of the" in page
    assert "avoid: [" not in page
    assert "open (AudioSet, ImageNet-1k)" in page, "the mark stays"


def test_a_comparison_that_nobody_made_is_said(world: World) -> None:
    change(world.results / "benchmarks" / "toy" / "benchmark.json", named=None)
    found = open_features(open_benchmarks(world.project, world.results)[0])
    assert found is not None
    assert found["label_sets"] is None


def test_disjoint_features_have_no_mark() -> None:
    assert mark({"name": "selavi", "weights": "sha256:1"}) == ""


def test_what_nobody_can_know_stands_beside_every_row(world: World, tmp_path: Path) -> None:
    path = world.results / "benchmarks" / "toy" / "benchmark.json"
    extractor = json.loads(path.read_text(encoding="utf-8"))["extractor"] | {"label_sets": ["web_captions"]}
    change(path, extractor=extractor, named=None)
    build(world.project, world.results, tmp_path / "page" / "index.html")
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    whole = "open (captions from the web: backbone not disjoint, unknowable)"
    assert (
        page.count(f'title="{whole}">backbone not disjoint, unknowable</strong>') == 2
    )  # avca and cjme of this benchmark
    assert "nobody can list (backbone not disjoint, unknowable)" in page and "avoid: [" not in page
    summary = collect(world.project, world.results)
    assert summary.table.loc[summary.table["benchmark"] == "toy", "weights"].str.startswith(whole).all()
    shown = " ".join(terminal_table(summary, 300).split())
    assert "toy, whose networks were trained with captions from the web: backbone not disjoint, unknowable." in shown
