"""A folder of files, good and bad, becomes a manifest with a row and a reason for each."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

from avzsl.acquisition import AcquisitionError
from avzsl.acquisition.journal import journal_path, read_journal
from avzsl.contracts.errors import ConfigError, DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.contracts.schemas import MEDIA
from avzsl.contracts.tables import read_table
from avzsl.runtime.locks import exclusive


def test_every_bad_input_gets_its_reason(tmp_path, fetch, manifest, good_clip, make_clip, make_clips, make_dataset):
    root = tmp_path / "root"
    root.mkdir()
    good = good_clip.read_bytes()
    names = {
        "good.mp4": "ok",
        '-leading dash\'s "quote" ünï;$(x).mp4': "ok",
        "deep/er/good.mp4": "ok",
        "short.mp4": "ok",  # 0.2 s: the extractor decides
        "silent.mp4": "no_audio_stream",
        "sound.m4a": "no_video_stream",
        "cover.mp3": "no_video_stream",
        "text.mp4": "corrupt",
        "empty.mp4": "corrupt",
        "no-index.mp4": "corrupt",
        "cut-short.mp4": "corrupt",
        "playlist.mp4": "corrupt",
        "pipe.mp4": "corrupt",
        "folder.mp4": "corrupt",
        "huge.mp4": "too_large",
        "absent.mp4": "missing",
        "../outside.mp4": "missing",
        "/etc/passwd": "missing",
    }
    for name in ("good.mp4", '-leading dash\'s "quote" ünï;$(x).mp4', "deep/er/good.mp4", "../outside.mp4"):
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).write_bytes(good)
    make_clip(root / "short.mp4", seconds=0.2)
    make_clip(root / "silent.mp4", audio=False)
    make_clip(root / "sound.m4a", video=False)
    _with_cover(root / "cover.mp3")
    (root / "text.mp4").write_text("not a video\n" * 100)
    (root / "empty.mp4").touch()
    (root / "no-index.mp4").write_bytes(make_clip(tmp_path / "plain.mp4", seconds=2).read_bytes()[:6000])
    # The index in front is whole and promises 8 s; the data end after a part of it.
    long = make_clip(tmp_path / "long.mp4", seconds=8, faststart=True).read_bytes()
    (root / "cut-short.mp4").write_bytes(long[: len(long) * 6 // 10])
    (root / "playlist.mp4").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile://" + str(root / "good.mp4") + "\n#EXT-X-ENDLIST\n"
    )
    os.mkfifo(root / "pipe.mp4")
    (root / "folder.mp4").mkdir()
    with (root / "huge.mp4").open("wb") as stream:
        stream.truncate(10_000_000_000)  # sparse
    table = fetch(make_clips(list(names)), make_dataset({"kind": "folder", "root": str(root)}), workers=2)
    assert dict(table["status"]) == names
    assert list(table.index) == list(names)
    assert table.loc[table["status"] != "ok", "error"].str.len().gt(5).all()
    assert table.loc[table["status"] == "ok", "error"].isna().all()
    pd.testing.assert_frame_equal(read_table(manifest, MEDIA).set_index("clip_id"), table)
    row = table.loc["good.mp4"]
    assert (row["width"], row["height"], row["fps"], row["audio_rate"], row["channels"]) == (64, 64, 25, 16000, 1)
    assert (row["video_codec"], row["audio_codec"]) == ("h264", "aac")
    assert row["duration_s"] == pytest.approx(1.0, abs=0.1)
    assert row["sha256"] == sha256_file(root / "good.mp4")
    assert Path(row["path"]) == root / "good.mp4"  # used where it is


def _with_cover(path: Path) -> None:
    """An audio file whose only picture is its cover (an ID3 tag written by hand)."""
    codec = av.CodecContext.create("mjpeg", "w")
    codec.width = codec.height = 32
    codec.pix_fmt, codec.time_base = "yuvj420p", Fraction(1, 25)
    image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24").reformat(format="yuvj420p")
    jpeg = b"".join(bytes(p) for p in [*codec.encode(image), *codec.encode(None)])
    body = b"\0image/jpeg\0\3\0" + jpeg
    tag = b"APIC" + len(body).to_bytes(4, "big") + b"\0\0" + body
    size = bytes((len(tag) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    sound = path.with_name("sound-alone.mp3")
    with av.open(str(sound), "w") as out:
        stream = out.add_stream("mp3", rate=16000, layout="mono")
        for start in range(0, 16000, 576):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 576), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, start
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    path.write_bytes(b"ID3\3\0\0" + size + tag + sound.read_bytes())
    with av.open(str(path)) as check:
        assert check.streams.video, "the cover must be seen as a stream, or this file tests nothing"


def test_copies_are_real_files_under_safe_names(tmp_path, fetch, good_clip, make_clips, make_dataset):
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.mp4").symlink_to(good_clip)
    shutil.copy(good_clip, root / "--help.mp4")
    dataset = make_dataset({"kind": "folder", "root": str(root), "in_place": False})
    table = fetch(make_clips(["link.mp4", "--help.mp4"]), dataset)
    assert set(table["status"]) == {"ok"}
    for path in map(Path, table["path"]):
        assert path.parent == tmp_path / "data/mine/media/0000"
        assert path.is_file() and not path.is_symlink()
        assert not path.name.startswith(("-", "."))
    assert len(list((tmp_path / "data/mine/media/0000").iterdir())) == 2
    shutil.rmtree(root)
    assert set(
        fetch(make_clips(["link.mp4", "--help.mp4"]), dataset_without_root(dataset, good_clip.parent))["status"]
    ) == {"ok"}


def dataset_without_root(dataset, other):
    source = dataset.sources[0].model_copy(update={"root": str(other), "name": dataset.sources[0].name or "x"})
    return dataset.model_copy(update={"sources": (source,)})


def test_search_finds_a_file_anywhere_and_refuses_two(tmp_path, fetch, good_clip, make_clips, make_dataset):
    root = tmp_path / "root"
    for name in ("a/b/one.mkv", "a/two.mp4", "c/two.mp4", "Some title [---g-f_I2yQ].mp4"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(good_clip, root / name)
    dataset = make_dataset({"kind": "folder", "root": str(root), "search": True})
    table = fetch(make_clips(["one.mp4", "two.mp4", "a/two.mp4"]), dataset)
    assert list(table["status"]) == ["ok", "missing", "ok"]
    by_id = make_dataset({"kind": "folder", "root": str(root), "search": True, "file": "{source_id}"})
    assert list(fetch(make_clips(["x"], source_id="---g-f_I2yQ"), by_id)["status"]) == ["ok"]
    assert "2 files" in table.loc["two.mp4", "error"]


def test_sources_are_asked_in_order_and_the_first_hit_wins(tmp_path, fetch, good_clip, make_clips, make_dataset):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, names in ((first, ["a.mp4"]), (second, ["a.mp4", "b.mp4"])):
        folder.mkdir()
        for name in names:
            shutil.copy(good_clip, folder / name)
    (first / "c.mp4").write_text("broken")
    shutil.copy(good_clip, second / "c.mp4")
    dataset = make_dataset(
        {"kind": "folder", "root": str(first), "name": "first"},
        {"kind": "folder", "root": str(second), "name": "second"},
    )
    table = fetch(make_clips(["a.mp4", "b.mp4", "c.mp4", "d.mp4"]), dataset)
    assert list(table["source"].fillna("")) == ["first", "second", "second", ""]
    assert list(table["attempts"]) == [1, 2, 2, 2]


def test_a_second_run_asks_only_what_may_have_changed(tmp_path, fetch, manifest, good_clip, make_clips, make_dataset):
    root = tmp_path / "root"
    root.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(good_clip, root / name)
    (root / "c.mp4").write_text("broken")
    clips, dataset = (
        make_clips(["a.mp4", "b.mp4", "c.mp4", "d.mp4"]),
        make_dataset({"kind": "folder", "root": str(root)}),
    )
    assert list(fetch(clips, dataset)["attempts"]) == [1, 1, 1, 1]
    assert list(fetch(clips, dataset)["attempts"]) == [1, 1, 1, 2]  # only the missing one
    shutil.copy(good_clip, root / "c.mp4")  # repaired
    (root / "b.mp4").write_bytes(good_clip.read_bytes()[:500])  # damaged since
    table = fetch(clips, dataset)
    assert list(table["status"]) == ["ok", "corrupt", "ok", "missing"]
    assert table.loc["a.mp4", "attempts"] == 1
    # Without the journal, the manifest is enough.
    journal_path(manifest).unlink()
    again = fetch(clips, dataset)
    assert again.loc["a.mp4", "attempts"] == 1 and again.loc["a.mp4", "sha256"] == table.loc["a.mp4", "sha256"]


def test_a_journal_with_half_a_line_is_used_up_to_it(tmp_path, fetch, manifest, good_clip, make_clips, make_dataset):
    root = tmp_path / "root"
    root.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(good_clip, root / name)
    clips, dataset = make_clips(["a.mp4", "b.mp4"]), make_dataset({"kind": "folder", "root": str(root)})
    fetch(clips, dataset)
    journal = journal_path(manifest)
    lines = journal.read_text().splitlines()
    journal.write_text(lines[0] + "\n" + lines[1][:80])
    manifest.unlink()
    assert set(read_journal(journal)) == {json.loads(lines[0])["clip_id"]}
    table = fetch(clips, dataset)
    assert set(table["status"]) == {"ok"} and set(table["attempts"]) == {1}


def _hold(path: Path, ready, release) -> None:
    with exclusive(path, AcquisitionError("busy")):
        ready.set()
        release.wait(30)


def test_two_runs_on_one_shard_do_not_mix(tmp_path, fetch, manifest, good_clip, make_clips, make_dataset):
    context = multiprocessing.get_context("spawn")
    ready, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(manifest.with_suffix(".lock"), ready, release))
    process.start()
    try:
        assert ready.wait(60)
        with pytest.raises(AcquisitionError, match="another process is fetching this shard"):
            fetch(make_clips(["good.mp4"]), make_dataset({"kind": "folder", "root": str(good_clip.parent)}))
    finally:
        process.kill()  # the lock goes with its holder
        process.join()
    assert list(
        fetch(make_clips(["good.mp4"]), make_dataset({"kind": "folder", "root": str(good_clip.parent)}))["status"]
    ) == ["ok"]


def test_user_errors_are_one_sentence(tmp_path, fetch, manifest, good_clip, make_clips, make_dataset):
    clips = make_clips(["good.mp4", "no.mp4"])
    with pytest.raises(AcquisitionError, match="the source folder does not exist"):
        fetch(clips, make_dataset({"kind": "folder", "root": str(tmp_path / "nowhere")}))
    with pytest.raises(ConfigError, match="none is given"):
        fetch(clips, make_dataset(catalog={"module": "vggsound"}))
    with pytest.raises(ConfigError, match="unknown field 'video'"):
        fetch(clips, make_dataset({"kind": "folder", "root": str(good_clip.parent), "file": "{video}.mp4"}))
    with pytest.raises(DataError, match="more than once"):
        fetch(make_clips(["good.mp4", "good.mp4"]), make_dataset({"kind": "folder", "root": str(good_clip.parent)}))
    with pytest.raises(AcquisitionError, match="1 of 2 clips failed"):
        fetch(clips, make_dataset({"kind": "folder", "root": str(good_clip.parent)}, max_failed_share=0.4))
    assert list(read_table(manifest, MEDIA)["status"]) == ["ok", "missing"]


def test_a_folder_catalogue_is_its_own_source(fetch, good_clip, make_clips, make_dataset):
    dataset = make_dataset(catalog={"module": "folder", "root": str(good_clip.parent)})
    assert list(fetch(make_clips(["good.mp4"]), dataset)["status"]) == ["ok"]


def test_no_clips_give_an_empty_manifest(fetch, manifest, good_clip, make_clips, make_dataset):
    fetch(make_clips([]), make_dataset({"kind": "folder", "root": str(good_clip.parent)}))
    assert len(read_table(manifest, MEDIA)) == 0


def test_a_file_name_that_is_not_utf8_does_not_cost_the_shard(tmp_path, fetch, good_clip, make_clips, make_dataset):
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(good_clip, os.fsencode(root) + b"/tall-\xff.mp4")
    shutil.copy(good_clip, os.fsencode(root) + b"/caf\xff [id1].mp4")
    for in_place, status in ((True, "corrupt"), (False, "ok")):
        source = {"kind": "folder", "root": str(root), "search": True, "file": "{source_id}", "in_place": in_place}
        table = fetch(make_clips(["x"], source_id="id1"), make_dataset({**source, "name": str(in_place)}))
        assert list(table["status"]) == [status], list(table["error"])
