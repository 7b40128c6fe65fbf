from __future__ import annotations

import io

import av
import numpy as np
import pytest
from PIL import Image

from avzsl.report.clipbook import ClipBook
from avzsl.report.gallery import HITS, dominant_modality, gallery, leaning_table
from avzsl.report.previews import SECONDS, WIDTH, make_preview
from avzsl.report.results import open_benchmarks
from avzsl.report.views import embedding_views
from tests.report.world import World, write_clip


def test_hits_are_the_nearest_clips_and_marked_rightly(world: World, tmp_path) -> None:
    benchmark = open_benchmarks(world.project, world.results)[0]
    book = ClipBook(tmp_path / "index.html")
    directions = gallery(benchmark, "avca", book)
    assert directions is not None
    arrays, header = benchmark.runs("avca")[0].scores
    row = {clip: i for i, clip in enumerate(header["clip_ids"])}
    for direction in directions:
        for query in direction["queries"]:
            if query.clip is None:
                start = arrays["classes"][header["class_names"].index(query.phrase)]
                own = None
            else:
                own = row[book.entries[query.clip]["id"]]
                start = arrays[query.shows][own]
            target = query.hits[0].shows
            distances = np.linalg.norm(arrays[target].astype(float) - start, axis=1)
            if own is not None:
                distances[own] = np.inf
            expected = np.argsort(distances, kind="stable")[:HITS]
            assert [row[book.entries[hit.clip]["id"]] for hit in query.hits] == list(expected)
            asked = query.phrase
            assert all(hit.right == (hit.class_name == asked) for hit in query.hits)


def test_the_surer_modality_dominates() -> None:
    classes = np.eye(4) * 3
    sure, unsure = np.array([[9.0, 0, 0, 0]]), np.full((1, 4), 0.5)
    assert dominant_modality(sure, unsure, classes)[0] == -1
    assert dominant_modality(unsure, sure, classes)[0] == 1
    assert dominant_modality(sure, sure, classes)[0] == 0


def test_leaning_table_counts_every_test_clip(world: World) -> None:
    benchmark = open_benchmarks(world.project, world.results)[0]
    tested = len(benchmark.runs("avca")[0].predictions)
    for row in leaning_table(benchmark):
        assert sum(group["clips"] for group in row["groups"]) == tested


def test_maps_show_the_clips_and_class_texts(world: World, tmp_path) -> None:
    benchmark = open_benchmarks(world.project, world.results)[0]
    book = ClipBook(tmp_path / "index.html")
    views = embedding_views(benchmark, book)
    assert [figure.title for figure in views["input"]] == ["Input, sound", "Input, picture"]
    drawn = sum(len(trace["x"]) for trace in views["input"][0].data)
    learnt = views["learnt"][0].data
    assert sum(len(trace["x"]) for trace in learnt) == 2 * drawn + len(views["input"][0].data)
    assert learnt[-1]["name"] == "class text"


def test_preview_is_small_and_plays(tmp_path) -> None:
    path = tmp_path / "-a 'clip'.mp4"
    write_clip(path, 3, seconds=5.0)
    preview = make_preview(path)
    assert len(preview.video) < 60_000
    with av.open(io.BytesIO(preview.video)) as container:
        assert float(container.duration / av.time_base) == pytest.approx(SECONDS, abs=0.3)
        assert container.streams.video[0].width == WIDTH
        assert len(container.streams.audio) == 1
    assert preview.picture is not None
    assert Image.open(io.BytesIO(preview.picture)).size[0] == WIDTH
    # The tone is a line: one row of the spectrogram is far brighter than the rest.
    assert preview.spectrogram is not None
    rows = np.asarray(Image.open(io.BytesIO(preview.spectrogram)).convert("L")).mean(axis=1)
    assert rows.max() > 4 * np.median(rows)


def test_broken_media_cost_a_preview_and_not_the_page(world_with_media: World, tmp_path, caplog) -> None:
    benchmark = open_benchmarks(world_with_media.project, world_with_media.results)[0]
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a video")
    book = ClipBook(tmp_path / "index.html")
    number = book.number(benchmark, next(iter(benchmark.media_paths)), "a class", preview=0)
    book._paths[number] = broken
    book.make_previews()
    assert book.failed == 1
    assert "video" not in book.entries[number]
    assert "no preview" in caplog.text


def test_budget_bounds_the_page(world_with_media: World, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    benchmark = open_benchmarks(world_with_media.project, world_with_media.results)[0]
    book = ClipBook(tmp_path / "index.html")
    ok = list(benchmark.media_paths)[:6]
    for clip in ok:
        book.number(benchmark, clip, "a class", preview=0)
    monkeypatch.setattr("avzsl.report.previews.VIDEO_BYTES", 30_000)
    book.make_previews()
    assert 0 < book.counts["playable"] < 6
    assert all("picture" in entry for entry in book.entries)
