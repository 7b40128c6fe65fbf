"""Attrition, diff, retry, release, doctor."""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from avzsl.acquisition.checkup import check_clip, check_cookies, check_disk, check_ffmpeg, check_source, check_ytdlp
from avzsl.acquisition.estimate import estimate
from avzsl.acquisition.release import release_shard, restore_shard
from avzsl.acquisition.retry import retry
from avzsl.cli import attrition as attrition_command
from avzsl.cli import diff as diff_command
from avzsl.cli import doctor as doctor_command
from avzsl.cli import retry as retry_command
from avzsl.config.sources import FolderSource, HttpSource, YoutubeSource
from avzsl.contracts.errors import DataError
from avzsl.contracts.schemas import CLIPS, FEATURES, MEDIA, PREDICTIONS, SPLIT
from avzsl.contracts.tables import read_table, write_table
from avzsl.contracts.vocabulary import MEDIA_STATUS, PERMANENT_STATUS
from avzsl.inspect.attrition import attrition, write_clip_list
from avzsl.inspect.diff import diff
from avzsl.results.places import Places


def media_rows(statuses: dict[str, str], **columns: object) -> pd.DataFrame:
    frame = pd.DataFrame({"clip_id": list(statuses), "status": list(statuses.values())})
    frame["permanent"] = frame["status"].isin(PERMANENT_STATUS)
    frame["shard"], frame["attempts"] = 0, 1
    frame["sha256"] = ("x" + frame["clip_id"].astype(str)).where(frame["status"] == "ok")
    for name, value in columns.items():
        frame[name] = value
    return frame


def test_attrition_follows_every_clip():
    statuses = {status: status for status in MEDIA_STATUS}
    ids = [*statuses, "ok2", "unasked"]
    clips = pd.DataFrame({"clip_id": ids, "class_name": ["c"] * (len(ids) - 2) + ["d", "d"]})
    media = media_rows({**statuses, "ok2": "ok"})
    features = pd.DataFrame({"clip_id": ["ok", "ok2"], "status": ["ok", "too_short"]})
    split = pd.DataFrame({"clip_id": ids, "subset": ["test_seen"] * (len(ids) - 2) + ["test_unseen"] * 2})
    report = attrition(clips, media, features, split, limit=1)
    assert list(report.clips["clip_id"]) == ids
    steps = report.clips.set_index("clip_id")["step"]
    assert steps["ok"] == "used" and steps["ok2"] == "decodable" and steps["unasked"] == "listed"
    assert steps["corrupt"] == "fetched" and steps["too_large"] == "reachable" and steps["removed"] == "listed"
    reasons = report.clips.set_index("clip_id")["reason"]
    assert reasons["ok2"] == "too_short" and reasons["unasked"] == "not_asked" and pd.isna(reasons["ok"])
    seen = report.by_subset.set_index("subset").loc["test_seen"]
    assert list(seen) == [17, 6, 5, 1, 1]
    assert list(report.low["class_name"]) == ["d"]
    assert report.reasons["clips"].sum() == len(ids) - 1
    assert attrition(clips, media).snapshot != report.snapshot


def test_the_published_list_holds_ids_and_reasons_only(tmp_path):
    clips = pd.DataFrame({"clip_id": ["-a", "b,c"], "class_name": ["x", "y"], "url": "http://secret"})
    write_clip_list(tmp_path / "list.csv", attrition(clips, media_rows({"-a": "ok", "b,c": "removed"})))
    back = pd.read_csv(tmp_path / "list.csv")
    assert list(back.columns) == ["clip_id", "class_name", "subset", "step", "reason"]
    assert list(back["clip_id"]) == ["-a", "b,c"] and list(back["reason"].fillna("")) == ["", "removed"]


@pytest.fixture
def two_rebuilds(tmp_path):
    for name, statuses, right in (
        ("a", {"1": "ok", "2": "ok", "3": "removed", "4": "ok"}, {"1", "2", "4"}),
        ("b", {"1": "ok", "2": "private", "3": "ok", "4": "ok", "5": "ok"}, {"1", "3"}),
    ):
        write_table(tmp_path / name / "d/media/0000.parquet", media_rows(statuses), MEDIA)
        tested = [clip for clip, status in statuses.items() if status == "ok"]
        predictions = pd.DataFrame({"clip_id": tested})
        predictions["class_name"] = ["u" if clip in "45" else "s" for clip in tested]
        predictions["subset"] = ["test_unseen" if clip in "45" else "test_seen" for clip in tested]
        hit = [clip in right for clip in tested]
        predictions["predicted"] = np.where(hit, predictions["class_name"], "wrong")
        predictions["predicted_zsl"] = np.where(predictions["subset"] == "test_unseen", "u", None)
        write_table(tmp_path / name / "benchmarks/B/runs/avca/seed-0/predictions.parquet", predictions, PREDICTIONS)
    return tmp_path / "a", tmp_path / "b"


def test_diff_of_two_rebuilds(two_rebuilds, capsys):
    found = diff(*two_rebuilds)
    changed = found.changed.set_index("clip_id")
    assert dict(changed["a"]) == {"2": "ok", "3": "removed", "5": "absent"}
    assert dict(changed["b"]) == {"2": "private", "3": "ok", "5": "ok"}
    own, common = (found.scores.set_index("list").loc[name] for name in ("own", "common"))
    assert (own["clips_a"], own["clips_b"], common["clips_a"], common["clips_b"]) == (3, 4, 2, 2)
    assert (own["S_a"], own["U_a"], own["HM_a"]) == (100, 100, 100)
    assert (own["S_b"], own["U_b"], own["HM_b"], own["ZSL_b"]) == (100, 0, 0, 100)
    assert common["HM_change"] == -100
    csv = two_rebuilds[0].parent / "changed.csv"
    assert diff_command.run(argparse.Namespace(a=two_rebuilds[0], b=two_rebuilds[1], csv=csv)) == 0
    assert "3 clips changed" in capsys.readouterr().out and len(pd.read_csv(csv)) == 3
    with pytest.raises(DataError, match="is no results folder"):
        diff(two_rebuilds[0], two_rebuilds[0].parent / "nothing")


@pytest.fixture
def project(tmp_path, good_clip, make_clips, monkeypatch):
    """A project of one folder data set with one clip that is there and one that is not yet."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "videos"
    root.mkdir()
    shutil.copy(good_clip, root / "a.mp4")
    dataset = {
        "catalog": {"module": "folder", "root": str(root)}, "embeddings": {"table": "demo"},
        "sources": [{"kind": "folder", "root": str(root), "in_place": False}],
    }  # fmt: skip
    (tmp_path / "config/datasets").mkdir(parents=True)
    (tmp_path / "config/datasets/mine.yaml").write_text(yaml.safe_dump(dataset))
    (tmp_path / "config/config.yaml").write_text(yaml.safe_dump({"benchmarks": "mine", "methods": ["probe"]}))
    (tmp_path / "config/methods").mkdir()
    (tmp_path / "config/methods/probe.yaml").write_text(
        yaml.safe_dump({"title": "p", "module": "ridge", "source": "none"})
    )
    clips = make_clips(["a.mp4", "b.mp4"])
    write_table(tmp_path / "results/mine/catalog/clips.parquet", clips, CLIPS)
    write_table(tmp_path / "results/mine/catalog/shards/0000.parquet", clips, CLIPS)
    return tmp_path


def _fetch(project, dataset):
    from avzsl.acquisition import fetch_shard

    places = Places(Path("results"), Path("data"))
    clips = read_table(places.clips("mine", "0000"), CLIPS)
    manifest = places.results / "mine/media/0000.parquet"
    return fetch_shard(clips, "mine", dataset, places.media("mine", "0000"), manifest, shard=0, state=places.state)


def test_retry_asks_again_and_touches_only_what_changed(project, good_clip, capsys):
    from avzsl.config.load import load_project

    dataset = load_project("config/config.yaml").dataset("mine")
    assert list(_fetch(project, dataset)["status"]) == ["ok", "missing"]
    manifest = Path("results/mine/media/0000.parquet")
    os.utime(manifest, (1e9, 1e9))
    common = {"config": "config/config.yaml", "results": None, "dataset": [], "status": [], "now": True, "workers": 1}
    assert retry_command.run(argparse.Namespace(**common, dry_run=True)) == 0
    assert "1 clips in 1 shards would" in capsys.readouterr().out
    assert retry_command.run(argparse.Namespace(**common, dry_run=False)) == 0
    assert "0 more are ok now" in capsys.readouterr().out
    table = read_table(manifest, MEDIA)
    assert list(table["attempts"]) == [1, 2] and manifest.stat().st_mtime == 1e9  # nothing to extract again
    shutil.copy(good_clip, "videos/b.mp4")
    assert retry_command.run(argparse.Namespace(**common, dry_run=False)) == 0
    assert "1 more are ok now" in capsys.readouterr().out
    assert set(read_table(manifest, MEDIA)["status"]) == {"ok"} and manifest.stat().st_mtime > 1e9


def test_permanent_failures_are_asked_again_when_they_are_named(
    tmp_path, server, make_dataset, http, good_clip, make_clips
):
    server.faults["a.mp4"] = ["403", "ok"]
    server.bodies["a.mp4"] = good_clip.read_bytes()
    places, dataset = Places(tmp_path / "results", tmp_path / "data"), make_dataset(http())
    write_table(places.clips("mine", "0000"), make_clips(["a.mp4"]), CLIPS)
    from avzsl.acquisition import fetch_shard

    manifest = places.results / "mine/media/0000.parquet"
    args = (make_clips(["a.mp4"]), "mine", dataset, places.media("mine", "0000"), manifest)
    assert list(fetch_shard(*args, shard=0, state=places.state)["status"]) == ["private"]
    assert retry(places, "mine", dataset).asked == 0
    assert retry(places, "mine", dataset, statuses=frozenset({"removed"})).asked == 0
    done = retry(places, "mine", dataset, statuses=frozenset({"private"}))
    assert (done.shards, done.asked, done.won) == (1, 1, 1) and server.count("a.mp4") == 2


def test_release_gives_room_back_only_when_nothing_can_come(project, good_clip):
    from avzsl.config.load import load_project

    dataset = load_project("config/config.yaml").dataset("mine")
    table = _fetch(project, dataset)
    manifest, media = Path("results/mine/media/0000.parquet"), Path("data/mine/media/0000")
    features = Path("results/mine/features/f/0000.parquet")
    rows = pd.DataFrame(
        {
            "clip_id": table["clip_id"],
            "shard": 0,
            "status": ["ok", "no_media"],
            "row": [0, -1],
            "audio_steps": 0,
            "visual_steps": 0,
        }
    )
    write_table(features, rows, FEATURES)
    assert release_shard(manifest, features, media) == 0  # b.mp4 may still come
    shutil.copy(good_clip, "videos/b.mp4")
    table = _fetch(project, dataset)
    assert release_shard(manifest, features, media) == int(table["bytes"].sum()) > 0
    assert not any(media.iterdir()) and len(list(Path("videos").iterdir())) == 2
    moment = manifest.stat().st_mtime_ns
    again = restore_shard(Places(Path("results"), Path("data")), "mine", dataset, manifest)
    assert set(again["status"]) == {"ok"} and all(Path(path).is_file() for path in again["path"])
    assert manifest.stat().st_mtime_ns == moment  # the same media: nothing to extract again


def test_release_leaves_files_that_are_used_in_place(tmp_path, good_clip):
    manifest, features = tmp_path / "m.parquet", tmp_path / "f.parquet"
    copy = Path(shutil.copy(good_clip, tmp_path / "a.mp4"))
    write_table(manifest, media_rows({"a": "ok"}, path=str(copy)), MEDIA)
    write_table(
        features,
        pd.DataFrame({"clip_id": ["a"], "shard": 0, "status": "ok", "row": 0, "audio_steps": 1, "visual_steps": 1}),
        FEATURES,
    )
    assert release_shard(manifest, features, tmp_path / "media") == 0 and copy.is_file()


def test_doctor_on_one_screen(project, capsys):
    arguments = argparse.Namespace(dataset=[], config="config/config.yaml", results=None, live=False, clips=0)
    assert doctor_command.run(arguments) == 0
    said = capsys.readouterr().out
    for word in ("FFmpeg", "GPU", "disk", "2 clips of 2 videos", "test clip"):
        assert word in said, said
    assert "yt-dlp" not in said  # these clips come from a folder
    assert doctor_command.run(argparse.Namespace(**{**vars(arguments), "live": True, "clips": 20})) == 0
    assert "mine: 2 clips in" in capsys.readouterr().out.replace("\n", " ") and (project / "data/trial/mine").is_dir()
    shutil.rmtree(project / "videos")
    assert doctor_command.run(arguments) == 1
    assert "does not exist" in capsys.readouterr().out


def test_attrition_command(project, capsys):
    from avzsl.config.load import load_project

    _fetch(project, load_project("config/config.yaml").dataset("mine"))
    split = pd.DataFrame({"clip_id": ["a.mp4", "b.mp4"], "class_name": "a class", "subset": "test_unseen"})
    write_table(Path("results/mine/splits/default/split.parquet"), split, SPLIT)
    arguments = argparse.Namespace(
        dataset="mine", config="config/config.yaml", results=None, split=None, limit=5, csv=Path("list.csv")
    )
    assert attrition_command.run(arguments) == 0
    said = capsys.readouterr().out
    assert "missing" in said and "fewer than 5 used clips: a class (1)" in said and Path("list.csv").is_file()
    # What a terminal would obey is shown as what it is.
    split["class_name"] = "a\x1b[2Jclass\x07"
    write_table(Path("results/mine/catalog/clips.parquet"), _renamed("a\x1b[2Jclass\x07"), CLIPS)
    write_table(Path("results/mine/splits/default/split.parquet"), split, SPLIT)
    assert attrition_command.run(arguments) == 0
    said = capsys.readouterr().out
    assert "a\N{REPLACEMENT CHARACTER}[2Jclass\N{REPLACEMENT CHARACTER} (1)" in said
    assert "\x1b" not in said and "\x07" not in said


def _renamed(class_name: str) -> pd.DataFrame:
    return read_table(Path("results/mine/catalog/clips.parquet"), CLIPS).assign(class_name=class_name)


@pytest.mark.parametrize(("kind", "spoken"), [("http", False), ("youtube", True)])
def test_doctor_speaks_of_ytdlp_only_where_it_is_used(project, capsys, kind, spoken):
    path = Path("config/datasets/mine.yaml")
    dataset = yaml.safe_load(path.read_text(encoding="utf-8"))
    # Nobody answers there, and no clip is asked for.
    dataset["sources"] = [{"kind": kind, "url": "http://127.0.0.1:9/{path}"}]
    path.write_text(yaml.safe_dump(dataset), encoding="utf-8")
    arguments = argparse.Namespace(dataset=[], config="config/config.yaml", results=None, live=False, clips=0)
    assert doctor_command.run(arguments) == 1
    said = capsys.readouterr().out
    assert ("yt-dlp" in said, "JavaScript runtime" in said) == (spoken, spoken), said


def test_checks_judge():
    day = datetime.date(2026, 11, 1)
    assert check_ytdlp("2026.10.20", day).state == "ok"
    assert check_ytdlp("2026.8.19", day).state == "warn" and "74 days" in check_ytdlp("2026.8.19", day).finding
    assert check_ytdlp("unknown", day).state == "warn"
    assert check_ffmpeg().state == "ok", check_ffmpeg().finding
    assert check_disk(Path("/not/there/yet"), 1e18).state == "fail" and check_disk(Path("/"), 0).state == "ok"


def test_cookies_are_judged_but_never_shown(tmp_path):
    path = tmp_path / "cookies.txt"
    source = YoutubeSource(kind="youtube", cookies=str(path))
    assert check_cookies("s", source).state == "fail"
    head, row = "# Netscape HTTP Cookie File\n", ".youtube.com\tTRUE\t/\tTRUE\t{}\tLOGIN\ts3cret\n"
    path.write_text(head + row.format(2000000000))
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    check = check_cookies("s", source)
    assert check.state == "ok" and "1 of 1" in check.finding and "s3cret" not in check.finding
    path.write_text(head + row.format(1000000000))
    assert check_cookies("s", source).state == "warn"
    path.chmod(0o644)
    assert "chmod 600" in check_cookies("s", source).finding


def test_sources_are_checked(tmp_path, server, make_dataset, http, good_clip, make_clips):
    source = HttpSource.model_validate(http())
    checks = list(check_source(source, tmp_path))
    assert [check.state for check in checks] == ["ok", "ok"]
    dead = HttpSource(kind="http", url="http://127.0.0.1:9/{path}")
    assert "cannot be reached" in list(check_source(dead, tmp_path))[-1].finding
    server.bodies["a.mp4"] = good_clip.read_bytes()
    server.faults["b.mp4"] = ["403!"]
    rows = make_clips(["a.mp4", "b.mp4"]).to_dict("records")
    dataset = make_dataset(http())
    assert check_clip(rows[0], "mine", dataset, source).state == "ok"
    assert "private" in check_clip(rows[1], "mine", dataset, source).finding
    assert [c.state for c in check_source(FolderSource(kind="folder", root=str(tmp_path / "no")), tmp_path)] == ["fail"]


def test_estimates(make_dataset):
    clips = pd.DataFrame({"clip_id": [str(i) for i in range(1000)], "source_id": [str(i // 2) for i in range(1000)]})
    clips["start_s"], clips["end_s"] = 0.0, 10.0
    nothing = media_rows({})
    youtube = make_dataset({"kind": "youtube"})
    first = estimate("d", youtube, clips, nothing)
    assert (first.clips, first.videos, first.measured) == (1000, 500, False)
    assert first.hours == pytest.approx(500 / 250) and first.bytes == pytest.approx(1000 * 10 * 90_000)
    media = media_rows({str(i): "ok" if i % 2 else "removed" for i in range(400)}, bytes=200_000)
    later = estimate("d", youtube, clips, media)
    assert (later.clips, later.videos, later.measured) == (600, 300, True) and later.bytes == 600 * 200_000
    lean = estimate("d", make_dataset({"kind": "youtube"}, keep="features"), clips, media)
    assert lean.bytes <= later.bytes
