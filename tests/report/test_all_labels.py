"""Scores with all labels of a clip stand beside the plain ones where labels are configured, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from avzsl.report import build
from avzsl.report.all_labels import all_labels
from avzsl.report.leaderboard import leaderboard
from avzsl.report.results import open_benchmarks
from avzsl.report.summary import _collect
from tests.report.world import World


@pytest.fixture
def labels(world: World, tmp_path: Path) -> Path:
    """Every test clip has its own label and the one that the first seed of AVCA predicted."""
    predictions = open_benchmarks(world.project, world.results)[0].runs("avca")[0].predictions
    rows = [
        (clip, name, "AV", False)
        for clip, own, guess in predictions[["clip_id", "class_name", "predicted"]].itertuples(index=False)
        for name in dict.fromkeys((own, guess))
    ]
    path = tmp_path / "labels.csv"
    pd.DataFrame(rows, columns=["video_id", "label", "modality", "static_image"]).to_csv(path, index=False)
    return path


def test_the_table_has_both_on_the_same_clips(world: World, labels: Path) -> None:
    benchmarks = [replace(b, labels=str(labels)) for b in open_benchmarks(world.project, world.results)[:1]]
    table = _collect(benchmarks).table.set_index("method")
    assert table.loc["avca", "hm_multilabel"] > table.loc["avca", "hm_multilabel_plain"]
    assert table.loc["avca", "hm_multilabel_plain"] == pytest.approx(table.loc["avca", "hm_mean"])
    assert (table["multilabel_clips"] == table["clips_tested"]).all()
    first = replace(benchmarks[0], config=benchmarks[0].config)
    assert all_labels(first, first.runs("avca")[:1])[0].multi["seen"] == 100.0
    assert leaderboard(_collect(benchmarks))[0].values["multilabel_clips"] == table["multilabel_clips"].iloc[0]


def test_nothing_is_computed_without_configured_or_installed_labels(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = open_benchmarks(world.project, world.results)[0]
    assert plain.labels is None
    assert all_labels(plain, plain.runs("avca")) == []
    monkeypatch.setattr("avzsl.evaluation.multilabel.PACKAGE", "no-such-package-here")
    assert all_labels(replace(plain, labels="vggsounder"), plain.runs("avca")) == []


def test_the_page_has_them_by_modality_and_without_still_pictures(
    world: World, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.read_csv(labels)
    table["modality"] = ["A" if place % 3 else "V" for place in range(len(table))]
    table["static_image"] = table["video_id"] == table["video_id"].iloc[0]
    table.to_csv(labels, index=False)
    opened = [replace(b, labels=str(labels)) for b in open_benchmarks(world.project, world.results)[:1]]
    monkeypatch.setattr("avzsl.report.page.open_benchmarks", lambda *_: opened)
    build(world.project, world.results, tmp_path / "index.html")
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    part = text[text.index("<h4>All labels of a clip") : text.index("<h4>Which seen class swallows")]
    rows = all_labels(opened[0], opened[0].runs("cjme"))
    assert {row.modality for row in rows} == {"any", "heard", "seen"}
    for row in rows:
        still = "with" if row.static else "without"
        begin = f'<tr><th scope="row">cjme</th><td>{row.modality}</td><td>{still}</td><td class="n">{row.clips}</td>'
        assert begin in part
        assert f"{row.multi['hm']:.2f} <span" in part[part.index(begin) :].split("</tr>")[0]
    assert rows[1].clips == rows[0].clips - 1, "one picture stands still"
