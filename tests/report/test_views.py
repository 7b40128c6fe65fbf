"""What cannot be drawn is said, and costs no more than itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avzsl.contracts.arrays import read_arrays, write_arrays
from avzsl.report import build
from avzsl.report.views import _tsne
from tests.report.world import World, make_world


@pytest.mark.parametrize("shape", [(20, 1), (20, 2), (5, 3), (4, 512)])
def test_few_dimensions_and_few_points_are_drawn(shape: tuple[int, int]) -> None:
    points = _tsne(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    assert points is not None
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()


@pytest.mark.parametrize("points", [np.ones((20, 5)), np.eye(2), np.repeat(np.eye(3), 9, axis=0), np.zeros((12, 1))])
def test_points_that_do_not_differ_have_no_map(points: np.ndarray) -> None:
    assert _tsne(points.astype(np.float32)) is None


@pytest.mark.parametrize("width,why", [(1, "the audio features of"), (0, "the features have no sound")])
def test_an_audio_without_differences_costs_its_map_alone(tmp_path: Path, width: int, why: str) -> None:
    world = make_world(tmp_path)
    path = world.results / "toy/features/random/packed.safetensors"
    arrays, header = read_arrays(path)
    header.pop("checksum", None)
    write_arrays(path, {**arrays, "audio": np.ones((len(arrays["audio"]), width), np.float32)}, header)
    build(world.project, world.results, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert f"No map: {why}" in page
    assert 'data-figure="view-toy-visual-input"' in page
    assert 'data-figure="view-toy-audio-input"' not in page


VIEWS = (
    "embedding_views", "gallery", "training_figures", "trade_off_figures", "confusion_figure", "leaning_table", "category_figure",
    "swallowers", "all_labels", "class_accuracy", "funnel", "reasons", "class_table", "subset_table", "split_picture", "facts",
    "croissant", "open_features", "audio_network_figures",
)  # fmt: skip


def broken(*_: object) -> None:
    raise ValueError("<b>nothing fits</b>")


SAID = "could not be made (ValueError: &lt;b&gt;nothing fits&lt;/b&gt;)"


@pytest.mark.parametrize("name", ["embedding_views", "trade_off_figures"])
def test_a_view_that_fails_costs_that_view(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    monkeypatch.setattr(f"avzsl.report.page.{name}", broken)
    build(world.project, world.results, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count(SAID) == len(world.project.benchmarks)
    assert 'id="leaderboard"' in page and "Accuracy of every test class" in page
    assert "is left out" in caplog.text


def test_all_views_may_fail_and_the_page_says_so_of_each(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VIEWS:
        monkeypatch.setattr(f"avzsl.report.page.{name}", broken)
    build(world.project, world.results, tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    methods = 2
    of_methods = ("gallery", "confusion_figure", "swallowers", "all_labels")
    expected = len(VIEWS) - len(of_methods) + methods * len(of_methods)
    assert page.count(SAID) == len(world.project.benchmarks) * expected
    assert 'id="leaderboard"' in page and "Results" in page
    assert "No clip was lost" not in page, "which nobody knows"
