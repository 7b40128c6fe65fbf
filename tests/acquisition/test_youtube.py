"""yt-dlp as it is: the generic extractor against the test server, and YouTube's own sentences through its exceptions."""

from __future__ import annotations

import io
import logging
import threading
from pathlib import Path

import av
import pytest
from yt_dlp.networking.common import Response
from yt_dlp.networking.exceptions import HTTPError, TransportError
from yt_dlp.utils import DownloadError, ExtractorError, GeoRestrictedError, UnsupportedError

from avzsl.acquisition.classify import classify
from avzsl.acquisition.sources.youtube import Youtube
from avzsl.config.sources import YoutubeSource
from avzsl.contracts.errors import ConfigError
from avzsl.contracts.secrets import remember


@pytest.fixture
def site(server):
    def make(**options):
        pace = {"backoff_s": 0.01, "cool_down_s": 0.05, "attempts": 3, "sleep_s": (0, 0)} | options.pop("pace", {})
        return {
            "kind": "youtube", "name": "site", "url": f"{server.url}/{{path}}", "extractors": ["generic"], "format": "b",
            "sleep_requests_s": 0, "transfer": {"timeout_s": 5, "limit_s": 20}, "pace": pace, **options,
        }  # fmt: skip

    return make


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (["ok"], "ok"),
        (["404!"], "removed"),
        (["429", "ok"], "ok"),
        (["500", "ok"], "ok"),
        (["stall!"], "network"),
        (["html!"], "no_such_format"),
        (["loop!"], "network"),
    ],
)
def test_ytdlp_finds_and_we_cut(tmp_path, server, fetch, make_clip, make_clips, make_dataset, site, fault, status):
    server.bodies["v.mp4"] = make_clip(tmp_path / "v.mp4", seconds=8, faststart=True, noise=True).read_bytes()
    server.faults["v.mp4"] = fault
    # Silence is waited for; everything else answers at once, unless the machine is busy.
    patience = {"transfer": {"timeout_s": 0.7, "limit_s": 5}, "pace": {"attempts": 2}} if fault == ["stall!"] else {}
    row = fetch(make_clips(["v.mp4"], start_s=3.0, end_s=5.0), make_dataset(site(**patience))).loc["v.mp4"]
    assert row["status"] == status, row["error"]
    if status == "ok":
        assert row["source"] == "site" and abs(row["start_error_s"]) <= 0.02
        with av.open(row["path"]) as clip:
            first = next(clip.decode(video=0)).to_ndarray(format="gray")[:16, :16].mean()
        assert first == pytest.approx(16 + (75 * 4) % 220, abs=2)
    else:
        assert row["error"]


def test_a_video_is_looked_up_once_for_its_clips(tmp_path, server, fetch, make_clip, make_clips, make_dataset, site):
    server.bodies["v.mp4"] = make_clip(tmp_path / "v.mp4", seconds=8).read_bytes()
    clips = make_clips(["x", "y", "z"], path="v.mp4", source_id="v", start_s=[0.0, 2.0, 4.0], end_s=[2.0, 4.0, 6.0])
    one = fetch(clips.head(1), make_dataset(site()))
    asked = len(server.seen)
    server.seen.clear()
    assert set(one["status"]) | set(fetch(clips, make_dataset(site()))["status"]) == {"ok"}
    assert len(server.seen) < 2 * asked


@pytest.mark.parametrize("keep", ["clips", "originals"])
def test_whole_videos_and_originals(tmp_path, server, fetch, make_clip, make_clips, make_dataset, site, keep):
    video = make_clip(tmp_path / "v.mp4", seconds=4)
    server.bodies["v.mp4"] = video.read_bytes()
    clips = make_clips(["whole", "part"], path="v.mp4", source_id="v", start_s=[None, 1.0], end_s=[None, 3.0])
    table = fetch(clips, make_dataset(site(), keep=keep))
    assert list(table["status"]) == ["ok", "ok"], list(table["error"])
    assert table["duration_s"].tolist() == pytest.approx([4, 2], abs=0.1)
    folder = tmp_path / "data/mine/media/0000"
    kept = [p for p in folder.rglob("*") if p.is_file()]
    assert len(kept) == (2 if keep == "clips" else 3), kept


def test_youtube_ids_are_checked_before_anything_is_asked(fetch, make_clips, make_dataset, server):
    clips = make_clips(["a", "b", "c"], source_id=["--exec=touch x", "../../etc", "short"])
    table = fetch(clips, make_dataset({"kind": "youtube"}))
    assert set(table["status"]) == {"no_such_format"} and not server.seen


def test_an_id_that_begins_with_a_dash_is_an_id(tmp_path, make_clips, monkeypatch):
    from avzsl.acquisition.clip import clips_of

    source = Youtube(YoutubeSource(kind="youtube"), tmp_path, threading.Event())
    asked = []
    monkeypatch.setattr(source, "_fetch", lambda url, clip, work: asked.append(url))
    source.pace._config = source.pace._config.model_copy(update={"sleep_s": (0, 0), "requests_per_hour": None})
    source.fetch(next(clips_of(make_clips(["x"], source_id="---g-f_I2yQ"))), None)
    assert asked == ["https://www.youtube.com/watch?v=---g-f_I2yQ"]


def test_options_reach_ytdlp_and_secrets_reach_nothing_else(
    tmp_path, server, fetch, make_clips, make_dataset, site, caplog, monkeypatch
):
    monkeypatch.setenv("MY_TOKEN", "web.gvs+s3cret-po")
    cookies = tmp_path / "cookies.txt"
    line = "127.0.0.1\tFALSE\t/\tFALSE\t2000000000\tsession\ts3cret-cookie\n"
    cookies.write_text("# Netscape HTTP Cookie File\n" + line)
    before = cookies.read_bytes()
    options = site(
        cookies=str(cookies), user_agent="agent/1", player_client=["web", "tv"], po_token=["$MY_TOKEN"],
        proxy=f"http://u:s3cret-proxy@127.0.0.1:{server.server_port}",
        extractor_args={"youtubepot-bgutilhttp": {"base_url": ["http://127.0.0.1:1/s3cret-path"]}},
    )  # fmt: skip
    dataset = make_dataset(options)
    source = Youtube(dataset.sources[0], tmp_path / "state", threading.Event())
    source.open()
    params = source._params()
    assert params["extractor_args"]["youtube"] == {"player_client": ["web", "tv"], "po_token": ["web.gvs+s3cret-po"]}
    assert params["extractor_args"]["youtubepot-bgutilhttp"] == {"base_url": ["http://127.0.0.1:1/s3cret-path"]}
    assert params["http_headers"]["User-Agent"] == "agent/1"
    server.faults["v.mp4"] = ["500!"]
    with caplog.at_level(logging.DEBUG):
        table = fetch(make_clips(["v.mp4"]), dataset)
    assert table.loc["v.mp4", "status"] == "network"
    assert cookies.read_bytes() == before  # yt-dlp would write its jar back
    cookies.unlink()
    texts = [caplog.text, repr(dataset)]
    texts += [path.read_text(errors="replace") for path in Path(tmp_path).rglob("*") if path.is_file()]
    assert not any("s3cret" in text for text in texts)


def test_a_variable_that_is_not_set_is_said(fetch, make_clips, make_dataset, site):
    with pytest.raises(ConfigError, match="AVZSL_NO_SUCH_VARIABLE, which the configuration names, is not set"):
        fetch(make_clips(["v.mp4"]), make_dataset(site(po_token=["$AVZSL_NO_SUCH_VARIABLE"])))


def test_a_missing_cookie_file_is_said_before_anything_is_asked(fetch, make_clips, make_dataset, site, tmp_path):
    from avzsl.acquisition import AcquisitionError

    with pytest.raises(AcquisitionError, match="the cookies of source 'site' cannot be read"):
        fetch(make_clips(["v.mp4"]), make_dataset(site(cookies=str(tmp_path / "none.txt"))))


SENTENCES = [
    ("removed", "Video unavailable"),
    ("removed", "Video unavailable. This video has been removed by the uploader"),
    ("removed", "This video has been removed for violating YouTube's policy on hate speech. Learn more"),
    ("removed", "Video unavailable. This video is no longer available due to a copyright claim by Some Label"),
    ("removed", "This video isn't available anymore"),
    ("account_terminated", "Video unavailable. This video is no longer available because the YouTube account associated "
     "with this video has been terminated."),
    ("account_terminated", "This video is no longer available because the uploader has closed their YouTube account."),
    ("private", "Private video. Sign in if you've been granted access to this video. Use --cookies-from-browser or --cookies"),
    ("private", "Join this channel to get access to members-only content like this video, and other exclusive perks."),
    ("private", "This video is available to this channel's members on level: Friend (or any higher level)."),
    ("private", "This video requires payment to watch"),
    ("geo_blocked", "Video unavailable. The uploader has not made this video available in your country"),
    ("geo_blocked", "This video is not available in your country"),
    ("geo_blocked", "This video is not available from your location due to geo restriction"),
    ("age_restricted", "Sign in to confirm your age. This video may be inappropriate for some users. Use --cookies"),
    ("age_restricted", "This video is age-restricted; some formats may be missing without authentication."),
    ("sign_in_required", "Sign in to confirm you’re not a bot. Use --cookies-from-browser or --cookies for the authentication."),
    ("sign_in_required", "Sign in to confirm you're not a bot. This helps protect our community. Learn more"),
    ("sign_in_required", "All player responses are invalid. Your IP is likely being blocked by Youtube"),
    ("sign_in_required", "Please sign in. Use --cookies-from-browser or --cookies for the authentication."),
    ("sign_in_required", "This video is only available for registered users"),
    ("rate_limited", "Video unavailable. This content isn't available, try again later. The current session has been "
     "rate-limited by YouTube for up to an hour."),
    ("rate_limited", "Video unavailable. YouTube is requiring a captcha challenge before playback"),
    ("no_such_format", "Requested format is not available. Use --list-formats for a list of available formats"),
    ("no_such_format", "This video is DRM protected"),
    ("no_such_format", "This live event will begin in 3 days."),
    ("no_such_format", "Premieres in 5 hours"),
    ("network", "Failed to extract any player response"),
    ("network", "The page needs to be reloaded."),
    ("network", "A sentence that nobody has seen before"),
]  # fmt: skip


def test_a_sentence_is_judged_before_secrets_are_hidden():
    remember("registered")
    error = classify(ExtractorError("This video is only available for registered users", expected=True, ie="youtube"))
    assert error.status == "sign_in_required"
    assert "registered" not in error.error


@pytest.mark.parametrize(("status", "sentence"), SENTENCES)
def test_the_sites_sentences(status, sentence):
    error = ExtractorError(sentence, expected=True, video_id="---g-f_I2yQ", ie="youtube")
    assert classify(error).status == status
    wrapped = DownloadError(f"ERROR: [youtube] ---g-f_I2yQ: {sentence}", (type(error), error, None))
    assert classify(wrapped).status == status
    assert classify(DownloadError(f"\x1b[0;31mERROR:\x1b[0m [youtube] ---g-f_I2yQ: {sentence}")).status == status


def test_the_sentences_are_still_in_ytdlp():
    """If yt-dlp rewords what it says itself, the list above needs a look."""
    from yt_dlp.extractor import common
    from yt_dlp.extractor.youtube import _video as video

    text = Path(video.__file__).read_text() + Path(common.__file__).read_text()
    for said in (
        "The uploader has not made this video available in your country",
        "This content isn't available, try again later",
        "has been rate-limited by YouTube",
        "requiring a captcha challenge",
        "Your IP is likely being blocked by Youtube",
        "Failed to extract any player response",
        "This video is not available from your location due to geo restriction",
        "This video is only available for registered users",
        "age-restricted",
    ):
        assert said in text, said


def test_causes_decide_before_sentences():
    def http(code, **headers):
        return HTTPError(Response(io.BytesIO(), "http://x", headers, status=code))

    assert classify(GeoRestrictedError("x")).status == "geo_blocked"
    assert classify(UnsupportedError("http://x")).status == "no_such_format"
    assert classify(TransportError("reset")).status == "network"
    failure = classify(ExtractorError("Unable to download webpage", cause=http(429, **{"Retry-After": "17"})))
    assert (failure.status, failure.retry_after_s) == ("rate_limited", 17)
    assert classify(ExtractorError("Unable to download webpage", cause=http(403))).status == "network"
    assert classify(ExtractorError("Unable to download webpage", cause=http(404))).status == "removed"


def test_titles_with_control_characters_do_not_reach_the_terminal():
    failure = classify(ExtractorError("bad \x1b[2J\x07title\nsecond line http://x/v?sig=s3cret", expected=True))
    assert failure.error.isprintable() and "second" not in failure.error
    assert "s3cret" not in classify(ExtractorError("no http://h/v?sig=s3cret", expected=True)).error


def _formats(monkeypatch, formats):
    monkeypatch.setattr(
        Youtube,
        "_info",
        lambda self, url, work: {"id": "v", "license": "Creative Commons", "requested_formats": formats},
    )


@pytest.mark.parametrize("keep", ["clips", "originals"])
def test_picture_and_sound_of_two_addresses(
    tmp_path, server, fetch, make_clip, make_clips, make_dataset, site, monkeypatch, keep
):
    """As YouTube serves them: the segments of one video share what was fetched."""
    for kind in ("video", "audio"):
        other = "audio" if kind == "video" else "video"
        server.bodies[f"{kind}.mp4"] = make_clip(
            tmp_path / f"{kind}.mp4", seconds=8, noise=True, **{other: False}
        ).read_bytes()
    form = {"protocol": "http", "ext": "mp4", "http_headers": {"User-Agent": "x"}}
    _formats(
        monkeypatch, [{**form, "url": f"{server.url}/{kind}.mp4", "format_id": kind} for kind in ("video", "audio")]
    )
    clips = make_clips(["x", "y", "z"], path="v", source_id="v", start_s=[1.0, 3.0, None], end_s=[3.0, 5.0, None])
    table = fetch(clips, make_dataset(site(), keep=keep))
    assert list(table["status"]) == ["ok"] * 3, list(table["error"])
    assert table["duration_s"].tolist() == pytest.approx([2, 2, 8], abs=0.1)
    assert set(table["licence"]) == {"Creative Commons"}
    if keep == "originals":
        assert server.count("video.mp4") == 1
        assert len(list((tmp_path / "data/mine/media/0000/originals").iterdir())) == 2


@pytest.mark.parametrize("protocol", ["rtsp", "m3u8"])
def test_what_needs_a_program_that_is_not_there_is_said(fetch, make_clips, make_dataset, site, monkeypatch, protocol):
    monkeypatch.setenv("PATH", "/nowhere")
    _formats(
        monkeypatch,
        [{"url": "rtmp://127.0.0.1:9/x", "protocol": protocol, "ext": "mp4", "format_id": "1", "is_live": True}],
    )
    row = fetch(make_clips(["v"]), make_dataset(site())).loc["v"]
    assert row["status"] == "no_such_format" and "needs a program" in row["error"]


def test_licences_can_be_asked_for(server, fetch, make_clips, make_dataset, site, monkeypatch):
    _formats(monkeypatch, [])
    row = fetch(make_clips(["v"]), make_dataset(site(licences=["public domain"]))).loc["v"]
    assert row["status"] == "refused_by_policy" and "Creative Commons" in row["error"]


def test_expired_addresses_are_looked_up_again(
    tmp_path, server, fetch, make_clip, make_clips, make_dataset, site, monkeypatch
):
    server.bodies["v.mp4"] = make_clip(tmp_path / "v.mp4", seconds=4).read_bytes()
    server.faults["v.mp4"] = ["403", "404", "ok"]
    form = {"url": f"{server.url}/v.mp4", "protocol": "http", "ext": "mp4", "format_id": "18"}
    _formats(monkeypatch, [form])
    row = fetch(make_clips(["v"], start_s=1.0, end_s=2.0), make_dataset(site())).loc["v"]
    assert (row["status"], row["attempts"]) == ("ok", 3)  # forbidden says nothing about the video


def test_streams_in_pieces_are_downloaded_by_ytdlp(tmp_path, server, fetch, make_clip, make_clips, make_dataset, site):
    """HLS through yt-dlp's own downloader, without an ffmpeg program."""
    video = make_clip(tmp_path / "v.mp4", seconds=6, gop=25)
    with av.open(str(video)) as source, av.open(str(tmp_path / "v.ts"), "w") as copy:
        streams = {s.index: copy.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    body = (tmp_path / "v.ts").read_bytes()
    half = len(body) // 376 * 188
    server.bodies |= {"0.ts": body[:half], "1.ts": body[half:]}
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:3",
        "#EXT-X-TARGETDURATION:4",
        "#EXTINF:3,",
        "0.ts",
        "#EXTINF:3,",
        "1.ts",
        "#EXT-X-ENDLIST",
        "",
    ]
    server.bodies["v.m3u8"] = "\n".join(lines).encode()
    row = fetch(make_clips(["v.m3u8"], start_s=1.0, end_s=3.0), make_dataset(site(pace={"attempts": 1}))).loc["v.m3u8"]
    assert row["status"] == "ok", row["error"]
    assert row["duration_s"] == pytest.approx(2, abs=0.1)
    assert [p.name for p in (tmp_path / "data/mine/media/0000").iterdir()] == [Path(row["path"]).name]
    limited = make_dataset(site(pace={"attempts": 1}), max_bytes=len(body) * 3 // 4)
    table = fetch(make_clips(["large"], path="v.m3u8", start_s=1.0, end_s=3.0), limited)
    assert list(table["status"]) == ["too_large"], list(table["error"])
    server.faults["1.ts"] = ["404!"]
    row = fetch(
        make_clips(["again"], path="v.m3u8", start_s=1.0, end_s=3.0), make_dataset(site(pace={"attempts": 1}))
    ).loc["again"]
    assert row["status"] != "ok"
