"""A web server with every fault, and the reason each one ends with."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from pathlib import Path

import av
import pytest

from avzsl.acquisition import StoppedError
from avzsl.acquisition.pace import reset_all
from avzsl.contracts.hashing import sha256_file


@pytest.mark.parametrize(
    ("fault", "status", "requests"),
    [
        (["ok"], "ok", 1),
        (["404!"], "removed", 1),
        (["410!"], "removed", 1),
        (["403!"], "private", 1),
        (["451!"], "geo_blocked", 1),
        (["html!"], "corrupt", 1),
        (["garbage!"], "corrupt", 1),
        (["huge!"], "too_large", 1),
        (["noai!"], "refused_by_policy", 1),
        (["429", "429", "ok"], "ok", 3),
        (["503", "ok"], "ok", 2),
        (["500!"], "network", 4),
        (["reset", "ok"], "ok", 2),
        (["stall", "ok"], "ok", 2),  # goes on where it stood
        (["truncate", "ok"], "ok", 2),
        (["longer!"], "network", None),
        (["endless", "ok"], "ok", 2),
        (["endless!"], "network", 4),
        (["redirect", "ok"], "ok", 2),
        (["loop!"], "network", None),
        (["whole"], "ok", 1),
    ],
)
def test_each_fault_has_its_reason(server, fetch, http, good_clip, make_clips, make_dataset, fault, status, requests):
    server.bodies["a.mp4"] = good_clip.read_bytes()
    server.faults["a.mp4"] = list(fault)
    row = fetch(make_clips(["a.mp4"]), make_dataset(http())).loc["a.mp4"]
    assert row["status"] == status, row["error"]
    assert row["permanent"] == (
        status in {"removed", "private", "geo_blocked", "corrupt", "too_large", "refused_by_policy"}
    )
    if requests is not None:
        assert server.count("a.mp4") == requests
    if status == "ok":
        assert sha256_file(row["path"]) == sha256_file(good_clip) == row["sha256"]
        assert row["source"] == "web"
    assert server.count("robots.txt") == 1


def test_a_drip_is_given_up(server, fetch, http, good_clip, make_clips, make_dataset):
    server.bodies["a.mp4"] = good_clip.read_bytes()
    server.faults["a.mp4"] = ["drip!"]
    server.stall_s = 30
    started = time.monotonic()
    row = fetch(
        make_clips(["a.mp4"]), make_dataset(http({"attempts": 1}, transfer={"timeout_s": 0.7, "limit_s": 1.0}))
    ).loc["a.mp4"]
    assert row["status"] == "network" and "did not end within 1 s" in row["error"]
    assert time.monotonic() - started < 25


def test_permanent_failures_are_not_asked_twice_and_passing_ones_are(
    server, fetch, http, good_clip, make_clips, make_dataset
):
    names = ["gone.mp4", "busy.mp4", "good.mp4"]
    server.bodies |= {"busy.mp4": good_clip.read_bytes(), "good.mp4": good_clip.read_bytes()}
    server.faults["busy.mp4"] = ["500"] * 4
    dataset = make_dataset(http())
    first = fetch(make_clips(names), dataset)
    assert list(first["status"]) == ["removed", "network", "ok"]
    second = fetch(make_clips(names), dataset)
    assert list(second["status"]) == ["removed", "ok", "ok"]
    assert [server.count(name) for name in names] == [1, 5, 1]
    assert list(second["attempts"]) == [1, 5, 1]


def test_a_segment_is_cut_exactly_from_the_bytes_it_needs(
    tmp_path, server, fetch, http, make_clip, make_clips, make_dataset
):
    # Noise makes the file long enough for its middle to be worth skipping to.
    video = make_clip(tmp_path / "long.mp4", seconds=60, gop=50, faststart=True, size=96, noise=True)
    body = video.read_bytes()
    assert len(body) > 6_000_000
    server.bodies["v.mp4"] = body
    clips = make_clips(["v.mp4"], start_s=40.3, end_s=45.3)
    row = fetch(clips, make_dataset(http())).loc["v.mp4"]
    assert row["status"] == "ok", row["error"]
    assert abs(row["start_error_s"]) <= 0.02 + 1e-9 and row["duration_s"] == pytest.approx(5, abs=0.1)
    assert server.sent < len(body) / 2, "only the index and the segment are fetched"
    with av.open(row["path"]) as clip:
        frames = [frame.to_ndarray(format="gray")[:16, :16].mean() for frame in clip.decode(video=0)]
    # The first frame is the one on show at 40.3 s: its grey level counts frames.
    expected = 16 + (int(40.3 * 25) * 4) % 220
    assert frames[0] == pytest.approx(expected, abs=2)
    assert len(frames) == 126  # the first and the last of them are on show for half their time


@pytest.mark.parametrize(
    "fault", [["whole!"], ["truncate", "truncate"], ["ok", "stall"], ["endless", "ok"], ["429", "reset"]]
)
def test_segments_survive_servers_without_ranges_and_broken_lines(
    tmp_path, server, fetch, http, make_clip, make_clips, make_dataset, fault
):
    server.bodies["v.mp4"] = make_clip(tmp_path / "v.mp4", seconds=12).read_bytes()
    server.faults["v.mp4"] = fault
    row = fetch(make_clips(["v.mp4"], start_s=8.0, end_s=11.0), make_dataset(http())).loc["v.mp4"]
    assert row["status"] == "ok", row["error"]
    assert row["duration_s"] == pytest.approx(3, abs=0.1)


def test_segments_beyond_the_end_and_wrong_lengths(tmp_path, server, fetch, http, make_clip, make_clips, make_dataset):
    server.bodies |= {name: make_clip(tmp_path / name, seconds=6).read_bytes() for name in ("a.mp4", "b.mp4", "c.mp4")}
    clips = make_clips(["a.mp4", "b.mp4"], start_s=[2.0, 30.0], end_s=[12.0, 40.0])
    assert list(fetch(clips, make_dataset(http()))["status"]) == ["shorter_than_segment"] * 2
    trimmed = make_clips(["c.mp4"], start_s=30.0, end_s=36.0)
    dataset = make_dataset(http(trimmed=True))
    assert list(fetch(trimmed, dataset)["status"]) == ["ok"]  # the file is the segment
    for length, status in ((3.0, "corrupt"), (10.0, "shorter_than_segment")):
        changed = make_clips(["c.mp4"], start_s=30.0, end_s=30.0 + length)
        assert list(fetch(changed, dataset)["status"]) == [status]  # a changed segment is another request


def test_originals_are_kept_and_fetched_once(tmp_path, server, fetch, http, make_clip, make_clips, make_dataset):
    server.bodies["v.mp4"] = make_clip(tmp_path / "v.mp4", seconds=8).read_bytes()
    clips = make_clips(["x", "y"], path="v.mp4", source_id="v", start_s=[1.0, 4.0], end_s=[3.0, 6.0])
    table = fetch(clips, make_dataset(http(), keep="originals"))
    assert list(table["status"]) == ["ok", "ok"]
    assert server.count("v.mp4") == 1
    original = list((tmp_path / "data/mine/media/0000/originals").iterdir())
    assert [sha256_file(path) for path in original] == [hashlib.sha256(server.bodies["v.mp4"]).hexdigest()]


def test_robots_txt_is_obeyed_by_default(server, fetch, http, good_clip, make_clips, make_dataset):
    server.bodies |= {"closed/a.mp4": good_clip.read_bytes(), "open/a.mp4": good_clip.read_bytes()}
    server.bodies["robots.txt"] = b"User-agent: *\nDisallow: /closed/\n"
    names = ["closed/a.mp4", "open/a.mp4"]
    table = fetch(make_clips(names), make_dataset(http()), workers=2)
    assert list(table["status"]) == ["refused_by_policy", "ok"]
    assert server.count("closed/a.mp4") == 0
    table = fetch(make_clips(names), make_dataset(http(name="asked", respect_opt_out=False)))
    assert list(table["status"]) == ["ok", "ok"]


@pytest.mark.parametrize(("fault", "status"), [("401", "ok"), ("403", "ok"), ("400", "ok"), ("503", "network")])
def test_a_robots_txt_that_cannot_be_had(
    tmp_path, server, fetch, http, good_clip, make_clips, make_dataset, fault, status
):
    """4xx: there are no rules, and nobody was turned away; 5xx: unknown, so nothing is asked."""
    server.bodies["a.mp4"] = good_clip.read_bytes()
    server.faults["robots.txt"] = [f"{fault}!"]
    dataset = make_dataset(http({"cool_down_s": 600, "attempts": 1}))
    assert list(fetch(make_clips(["a.mp4"]), dataset)["status"]) == [status]
    assert server.count("a.mp4") == (status == "ok")


def test_hostile_ids_stay_in_their_place(server, fetch, make_clips, make_dataset, good_clip, http):
    server.bodies["videos/-x.mp4"] = good_clip.read_bytes()
    server.bodies["secret.mp4"] = good_clip.read_bytes()
    ids = ["-x", "../secret", "a?b=c#d", "--exec=id"]
    clips = make_clips(ids)
    table = fetch(clips, make_dataset(http(url=f"{server.url}/videos/{{source_id}}.mp4")))
    assert list(table["status"]) == ["ok", "removed", "removed", "removed"]
    urls = make_clips(["f", "j"], url=["file:///etc/passwd", "javascript:alert(1)"])
    assert list(fetch(urls, make_dataset(http(url="{url}")))["status"]) == ["no_such_format"] * 2
    assert not any(name == "secret.mp4" for _, name, _ in server.seen)


def test_a_second_source_is_asked_for_what_the_first_lacks(
    tmp_path, server, fetch, http, good_clip, make_clips, make_dataset
):
    folder = tmp_path / "mirror"
    folder.mkdir()
    shutil.copy(good_clip, folder / "b.mp4")
    server.bodies["a.mp4"] = good_clip.read_bytes()
    dataset = make_dataset(http(), {"kind": "folder", "root": str(folder), "name": "mirror"})
    clips = make_clips(["a.mp4", "b.mp4", "c.mp4"])
    table = fetch(clips, dataset)
    assert list(table["status"]) == ["ok", "ok", "removed"]  # removed says more than missing
    assert list(table["source"].fillna("")) == ["web", "mirror", ""]
    (folder / "b.mp4").unlink()  # a lost file does not make the first source forget what it said
    assert list(fetch(clips, dataset)["status"]) == ["ok", "removed", "removed"]
    assert server.count("b.mp4") == 1


def test_when_nothing_succeeds_the_run_ends_and_goes_on_later(
    tmp_path, server, fetch, manifest, http, good_clip, make_clips, make_dataset
):
    names = [f"{i}.mp4" for i in range(30)]
    server.bodies |= {name: good_clip.read_bytes() for name in names}
    server.faults |= {name: ["503!"] for name in names[5:]}
    dataset = make_dataset(http({"give_up_after": 8, "attempts": 2}))
    with pytest.raises(StoppedError, match=r"8 requests in a row failed, the last as network \(HTTP 503"):
        fetch(make_clips(names), dataset)
    assert not manifest.exists()
    asked = len(server.seen)
    assert asked < 30
    with pytest.raises(StoppedError):  # other shards of the same run end at once
        fetch(make_clips(names), dataset)
    assert len(server.seen) <= asked + 1
    server.faults.clear()
    reset_all(tmp_path / "state")
    before = {name: server.count(name) for name in names}
    table = fetch(make_clips(names), dataset)
    assert set(table["status"]) == {"ok"}
    done = [name for name in names if before[name] and table.loc[name, "attempts"] == 1]
    assert all(server.count(name) == before[name] for name in done) and done


def test_a_rate_limit_pauses_everybody(server, fetch, http, good_clip, make_clips, make_dataset, caplog):
    names = [f"{i}.mp4" for i in range(12)]
    server.bodies |= {name: good_clip.read_bytes() for name in names}
    server.faults["3.mp4"] = ["429"]
    with caplog.at_level(logging.WARNING):
        table = fetch(make_clips(names), make_dataset(http({"cool_down_s": 1.0})), workers=4)
    assert set(table["status"]) == {"ok"}
    limited = next(t for t, name, _ in server.seen if name == "3.mp4")
    # Requests already under way may still arrive; then there is silence.
    times = sorted(t for t, _, _ in server.seen if t > limited + 0.3)
    assert times and times[0] >= limited + 0.95
    assert "everybody pauses until" in caplog.text


def test_secrets_are_in_no_log_and_no_file(tmp_path, server, fetch, http, make_clips, make_dataset, caplog):
    server.faults["a.mp4"] = ["500!"]
    source = http(
        headers={"Authorization": "Bearer s3cret-token"},
        url=f"http://user:s3cret-pw@127.0.0.1:{server.server_port}/{{path}}",
    )
    dataset = make_dataset(source)
    with caplog.at_level(logging.DEBUG):
        fetch(make_clips(["a.mp4"]), dataset)
    assert "s3cret-token" not in repr(dataset)
    texts = [caplog.text] + [p.read_text(errors="replace") for p in Path(tmp_path).rglob("*") if p.is_file()]
    assert not any("s3cret" in text for text in texts)
