"""Kinds of real files that go wrong elsewhere: joined, truncated, hidden, damaged, misleading."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avzsl.acquisition.cut import cut
from avzsl.acquisition.probe import probe
from avzsl.config.features import FeaturesConfig
from avzsl.media.beginnings import second_beginning
from avzsl.media.errors import MediaError
from avzsl.media.opening import open_container
from avzsl.media.sound import usual_layout
from avzsl.media.streams import choose_streams

from .files import hidden, scene, wrapped, write  # isort: skip
from .test_same import assert_same, cut_of, seconds_of  # isort: skip

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
HARD, CLIPS = SHARED / "hard_clips", SHARED / "clips"


def remux(source: Path, out: Path, change=lambda packet: packet, extra=None) -> Path:
    """Copy the packets of a file; `change` returns a packet, or None to leave it out; `extra` adds streams first."""
    with av.open(str(source)) as old, av.open(str(out), "w") as new:
        added = extra(new) if extra else []
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in added:
            new.mux(packet)
        for packet in old.demux():
            if packet.size and (changed := change(packet)) is not None:
                changed.stream = streams[packet.stream.index]
                new.mux(changed)
    return out


def shifted(seconds: float):
    """Return a change that moves every packet by seconds."""

    def change(packet):
        ticks = round(seconds / packet.time_base)
        packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
        return packet

    return change


@pytest.mark.parametrize(("name", "ahead"), [("c.ts", 0.0), ("c.ts", 40.0), ("c.mpg", 0.0)])
def test_joined_recordings_follow_each_other(name: str, ahead: float, tmp_path: Path) -> None:
    mpg = {"codec": "mpeg2video", "audio_codec": "mp2"} if name.endswith("mpg") else {}
    parts = [
        write(tmp_path / f"{k}-{name}", seconds=3, picture=lambda t, k=k: scene(t + 3 * k), **mpg) for k in range(2)
    ]
    if ahead:
        parts[1] = remux(parts[1], tmp_path / f"late-{name}", shifted(ahead))
    path = tmp_path / name
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    facts, (windows, info) = probe(str(path)), seconds_of(path)
    assert facts["status"] == "ok" and facts["duration_s"] == pytest.approx(6, abs=0.3), facts
    assert len(windows) == 6 and "2 recordings joined" in str(info.note) and "2 recordings joined" in facts["note"]
    for k in (0, 1, 3, 4, 5):
        assert np.abs(windows[k].frames[5].astype(int) - scene(k + 0.55).astype(int)).mean() < 12, k
    result = cut_of(path, 3.5, 5.5)
    assert result["status"] == "ok", result
    [window, _], _ = seconds_of(result["out"])
    assert np.abs(window.frames[5].astype(int) - scene(4.05).astype(int)).mean() < 12


@pytest.mark.parametrize(("gop", "after"), [(25, 2.7), (150, 4.4), (25, 1.42), (25, 30.0)])
def test_a_clock_that_wraps_goes_on(gop: int, after: float, tmp_path: Path) -> None:
    """MPEG-TS counts 33 bits: the clock goes back to 0 after 26.5 hours, here in the middle, at the start, or soon after."""
    straight = write(tmp_path / "straight.ts", gop=gop)
    path = wrapped(straight, tmp_path / "c.ts", after)
    facts = probe(str(path))
    assert facts["status"] == "ok" and facts["note"] is None and facts["duration_s"] == pytest.approx(6, abs=0.05)
    windows, info = seconds_of(path)
    assert len(windows) == 6 and info.note is None
    for k, window in enumerate(windows):
        assert np.abs(window.frames[5].astype(int) - scene(k + 0.55).astype(int)).mean() < 4
    assert_same(path, 1, 5)


VP8 = {"codec": "libvpx", "audio_codec": "libopus", "rate": 48000}
NOT_FOLLOWED = {
    "c.flv": {}, "c.mkv": {}, "c.webm": VP8, "c.mp4": {}, "c.mov": {}, "c.wmv": {"codec": "wmv2", "audio_codec": "wmav2"},
    "faststart.mp4": {"options": {"movflags": "+faststart"}},
    "pieces.mp4": {"options": {"movflags": "frag_keyframe+empty_moov"}},
    "live.mkv": {"options": {"live": "1"}},
}  # fmt: skip


@pytest.mark.parametrize("name", NOT_FOLLOWED)
def test_half_of_joined_recordings_is_not_the_whole(name: str, tmp_path: Path) -> None:
    """The demuxer stops at the second beginning, or its clock goes back there: probing, reading, cutting all say so."""
    path = write(tmp_path / name, seconds=3, **NOT_FOLLOWED[name])
    assert probe(str(path))["status"] == "ok" and len(seconds_of(path)[0]) == 3
    path.write_bytes(path.read_bytes() * 2)
    facts = probe(str(path))
    assert facts["status"] == "corrupt" and "several recordings were joined" in facts["error"]
    with pytest.raises(MediaError) as error:
        seconds_of(path)
    assert (error.value.status, error.value.reason) == ("corrupt", facts["error"])
    for start in (1, 4):
        result = cut_of(path, start, start + 1)
        assert (result["status"], result["error"]) == ("corrupt", facts["error"])


def test_joined_avis_follow_each_other(tmp_path: Path) -> None:
    avi = {"codec": "mpeg4", "audio_codec": "mp3"}
    parts = [write(tmp_path / f"{k}.avi", seconds=3, picture=lambda t, k=k: scene(t + 3 * k), **avi) for k in range(2)]
    path = tmp_path / "c.avi"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    windows, _ = seconds_of(path)
    assert len(windows) == 6 and probe(str(path))["duration_s"] == pytest.approx(6, abs=0.1)
    part, _ = seconds_of(cut_of(path, 3.5, 5.5)["out"])
    for window, moment in ((windows[1], 1.55), (windows[4], 4.55), (part[0], 4.05)):
        assert np.abs(window.frames[5].astype(int) - scene(moment).astype(int)).mean() < 12


def test_pieces_that_bring_their_own_header_are_one_recording(tmp_path: Path) -> None:
    """A fragmented mp4 may repeat its header before each fragment: its clock goes on."""
    path = write(tmp_path / "c.mp4", seconds=3, options={"movflags": "frag_keyframe+empty_moov+default_base_moof"})
    data = path.read_bytes()
    header, last = data[: data.find(b"moof") - 4], data.rfind(b"moof") - 4
    path.write_bytes(data[:last] + header + data[last:])
    assert second_beginning(path) is not None
    assert probe(str(path))["status"] == "ok" and len(seconds_of(path)[0]) == 3


@pytest.mark.parametrize("name", NOT_FOLLOWED)
def test_a_walk_over_damaged_parts_ends(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / name, seconds=1, **NOT_FOLLOWED[name])
    data, dice = path.read_bytes(), np.random.default_rng(0)
    for _ in range(40):
        damaged_data = bytearray(data[: dice.integers(1, len(data))])
        for place in dice.integers(0, min(len(damaged_data), 400), 4):
            damaged_data[place] = dice.integers(256)
        path.write_bytes(bytes(damaged_data))
        assert second_beginning(path) is None or second_beginning(path) < len(damaged_data)


@pytest.mark.parametrize("name", ["c.webm", "c.mkv", "c.avi", "c.flv"])
def test_a_file_that_was_cut_short_says_so(name: str, tmp_path: Path) -> None:
    options = {
        ".webm": {"codec": "libvpx", "audio_codec": "libopus", "rate": 48000}, ".avi": {"codec": "mpeg4", "audio_codec": "mp3"},
    }.get(Path(name).suffix, {})  # fmt: skip
    path = write(tmp_path / name, **options)
    assert probe(str(path))["status"] == "ok"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    facts = probe(str(path))
    assert facts["status"] == "corrupt" and "the file is cut short" in facts["error"]


def test_what_an_edit_list_hides_is_not_counted(tmp_path: Path) -> None:
    """As cut by stream copy: packets from the key frame on, the first second of them hidden."""
    whole = write(tmp_path / "c.mp4", seconds=4, gop=50)
    path = hidden(whole, tmp_path / "hidden.mp4", 1.0)
    with av.open(str(path)) as container:
        assert any(packet.is_discard for packet in container.demux(container.streams.video[0]))
    assert probe(str(path))["duration_s"] == pytest.approx(3, abs=0.05)
    windows, info = seconds_of(path)
    assert len(windows) == 3 and info.note is None
    for window, moment in zip(windows, (1.55, 2.55, 3.55), strict=True):
        assert np.abs(window.frames[5].astype(int) - scene(moment).astype(int)).mean() < 4
    assert_same(path, 0, 3)


@pytest.mark.skipif(not CLIPS.is_dir(), reason="../shared/data/clips is not there")
def test_the_length_of_real_clips_is_what_they_show() -> None:
    paths = sorted(CLIPS.glob("*.*"))
    assert paths
    for path in paths:
        facts = probe(str(path))
        if facts["status"] == "ok":
            assert seconds_of(path)[1].duration_s == pytest.approx(facts["duration_s"], abs=0.04), path.name


def test_the_same_default_streams_everywhere(tmp_path: Path) -> None:
    one, two = (write(tmp_path / f"{k}.mkv", seconds=3, picture=lambda t, k=k: scene(t + 9 * k)) for k in range(2))
    path = tmp_path / "two.mkv"
    with av.open(str(one)) as a, av.open(str(two)) as b, av.open(str(path), "w") as out:
        streams = {}
        for k, old in enumerate((a, b)):
            for stream in old.streams:
                new = streams[k, stream.index] = out.add_stream_from_template(stream)
                new.disposition = av.stream.Disposition.default if k else av.stream.Disposition(0)
        for k, old in enumerate((a, b)):
            for packet in old.demux():
                if packet.size:
                    packet.stream = streams[k, packet.stream.index]
                    out.mux(packet)
    with av.open(str(path)) as container:
        chosen = choose_streams(container)
        assert (chosen.video.index, chosen.audio.index) == (2, 3)
    assert np.abs(seconds_of(path)[0][1].frames[5].astype(int) - scene(1.55 + 9).astype(int)).mean() < 12
    assert (
        np.abs(seconds_of(cut_of(path, 1, 2)["out"])[0][0].frames[5].astype(int) - scene(1.55 + 9).astype(int)).mean()
        < 12
    )


def test_a_still_before_the_recording_is_not_its_picture(tmp_path: Path) -> None:
    source = write(tmp_path / "c.mov", seconds=3)

    def cover(out):
        stream = out.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "rgb24"
        frame = av.VideoFrame.from_ndarray(np.zeros((480, 640, 3), np.uint8), format="rgb24")
        frame.pts, frame.time_base = 0, Fraction(1)
        return [*stream.encode(frame), *stream.encode(None)]

    path = remux(source, tmp_path / "cover.mov", extra=cover)
    assert probe(str(path))["width"] == 160
    assert len(seconds_of(path)[0]) == 3
    assert cut_of(path, 1, 2)["status"] == "ok"


def damaged(source: Path, out: Path, share: float) -> Path:
    """Zero a share of the picture's packets, evenly."""
    with av.open(str(source)) as container:
        places = [(p.pos, p.size) for p in container.demux(container.streams.video[0]) if p.size]
    data = bytearray(source.read_bytes())
    step = 1 / share
    for k in range(int(len(places) * share)):
        begin, size = places[min(int(k * step) + 1, len(places) - 1)]
        data[begin : begin + size] = bytes(size)
    out.write_bytes(bytes(data))
    return out


def test_damage_is_a_number_and_has_a_limit(tmp_path: Path) -> None:
    source = write(tmp_path / "c.mp4", seconds=4)
    little, much = (damaged(source, tmp_path / f"{share}.mp4", share) for share in (0.05, 0.5))
    facts = cut_of(little, 1, 3, max_lost_share=0.2)
    assert facts["status"] == "ok" and facts["lost_frames"] > 0 and "frames" in str(facts["note"])
    facts = cut_of(much, 1, 3, max_lost_share=0.2)
    assert facts["status"] == "corrupt" and "%" in str(facts["error"]) and "not permitted" not in str(facts["error"])
    rows = [
        {"clip_id": p.name, "shard": 0, "status": "ok", "permanent": False, "attempts": 1, "path": str(p)}
        for p in (little, much)
    ]
    features = FeaturesConfig.model_validate({"weights": {"random_seed": 0}})
    # Networks are not needed to see how reading ends.
    from extractors.pool import DecodePool

    with DecodePool(features, 1) as pool:
        ends = [list(items)[-1] for items in pool.clips([Path(row["path"]) for row in rows])]
    assert [end.status for end in ends] == ["ok", "corrupt"]
    assert ends[0].info.lost_frames > 0 and "lost" in ends[0].reason and "max_lost_share" in ends[1].reason


def test_a_codec_that_nobody_knows_has_a_reason(tmp_path: Path) -> None:
    path = write(tmp_path / "c.mp4", seconds=2)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    for facts in (probe(str(path)), cut_of(path, 0, 1)):
        assert facts["status"] == "corrupt" and "video" in str(facts["error"])
    with pytest.raises(MediaError, match="no decoder for its video"):
        seconds_of(path)


@pytest.mark.parametrize("name", [*NOT_FOLLOWED, "c.ts", "c.avi"])
def test_a_message_is_about_the_file(name: str, tmp_path: Path) -> None:
    """However a file is damaged, it gives windows or a reason, and the reason is no "Operation not permitted"."""
    options = NOT_FOLLOWED.get(name, {"codec": "mpeg4", "audio_codec": "mp3"} if name == "c.avi" else {})
    path = write(tmp_path / name, seconds=2, **options)
    data, dice, said = path.read_bytes(), np.random.default_rng(1), []
    for k in range(12):
        damaged_data = bytearray(data[: dice.integers(10, len(data))] if k % 3 == 0 else data)
        for place in dice.integers(0, len(damaged_data), 1 + 4 * (k % 3)):
            damaged_data[place : place + 200] = dice.bytes(len(damaged_data[place : place + 200]))
        path.write_bytes(bytes(damaged_data))
        facts, result = probe(str(path)), cut_of(path, 0.5, 1.5)
        said += [str(facts), str(result)]
        try:
            said.append(str(seconds_of(path)[1].note))
        except MediaError as error:
            said.append(error.reason)
    assert not any("not permitted" in text or "Errno" in text for text in said), said


@pytest.mark.parametrize("where", ["relative", "absolute"])
@pytest.mark.parametrize("kind", ["ffconcat", "m3u8"])
def test_a_playlist_is_refused_everywhere(
    kind: str, where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "real.mp4", seconds=1)
    target = "real.mp4" if where == "relative" else str(tmp_path / "real.mp4")
    text = {
        "ffconcat": f"ffconcat version 1.0\nfile '{target}'\n",
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n",
    }[kind]
    path = tmp_path / "list.mp4"
    path.write_text(text)
    monkeypatch.chdir(tmp_path)
    assert probe("list.mp4")["status"] == "corrupt"
    assert cut([Path("list.mp4")], "o.mp4", 0, 1, 18, 0.3)["status"] == "corrupt"
    with pytest.raises(MediaError), open_container(path):
        pass


@pytest.mark.parametrize(
    ("given", "used"),
    [("mono", "mono"), ("5.1(side)", "5.1(side)"), ("2 channels", "stereo"), ("6 channels", "5.1"), ("22.2", None)],
)
def test_channels_without_places_get_the_usual_ones(given: str, used: str | None) -> None:
    assert usual_layout(av.AudioLayout(given)) == used


def test_layout_and_rate_that_change_in_the_middle(tmp_path: Path) -> None:
    """MPEG-TS lets the same stream go on with other sound: stereo after mono, 48 kHz after 44.1."""
    parts = [
        write(tmp_path / f"{k}.ts", seconds=3, layout=layout, rate=rate)
        for k, (layout, rate) in enumerate([("mono", 44100), ("stereo", 48000)])
    ]
    path = tmp_path / "c.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    facts = cut_of(path, 1.5, 4.5)
    assert facts["status"] == "ok", facts
    windows, _ = seconds_of(facts["out"])
    assert len(windows) == 3 and all(np.abs(w.samples).max() > 3000 for w in windows)


@pytest.mark.skipif(not HARD.is_dir(), reason="../shared/data/hard_clips is not there")
class TestHardClips:
    """Nine small real files and what is right for each."""

    def test_frozen_middle(self, tmp_path):
        assert len(seconds_of(self.segment(tmp_path, "frozen_middle/clip.mp4", 5, 9))[0]) == 4
        assert len(seconds_of(self.segment(tmp_path, "frozen_middle/clip.mp4", 7, 10))[0]) == 3

    def test_joined_recordings(self):
        assert len(seconds_of(HARD / "joined_recordings/clip.ts")[0]) == 8
        assert probe(str(HARD / "joined_recordings/clip.ts"))["duration_s"] == pytest.approx(8, abs=0.15)

    @pytest.mark.parametrize(("start", "end"), [(3, 6), (11, 13), (3, 13)])
    def test_long_gop_ts(self, tmp_path, start, end):
        assert len(seconds_of(self.segment(tmp_path, "long_gop_ts/clip.ts", start, end))[0]) == end - start

    def test_pcm_avi(self, tmp_path):
        out = self.segment(tmp_path, "pcm_avi/clip.avi", 1, 3)
        assert probe(str(out))["channels"] == 1

    def test_rotated(self, tmp_path):
        whole, part = (
            seconds_of(HARD / "rotated/clip.mp4")[0],
            seconds_of(self.segment(tmp_path, "rotated/clip.mp4", 2, 4))[0],
        )
        assert np.abs(whole[2].frames.astype(int) - part[0].frames.astype(int)).mean() < 4

    def test_stream0_subtitles(self):
        facts = probe(str(HARD / "stream0_subtitles/clip.mkv"))
        assert facts["status"] == "ok" and facts["duration_s"] == pytest.approx(6, abs=0.05)

    def test_truncated_webm(self):
        facts = probe(str(HARD / "truncated_webm/clip.webm"))
        assert facts["status"] == "corrupt" and "the file is cut short" in facts["error"]

    def test_two_tracks(self, tmp_path):
        with av.open(str(HARD / "two_tracks/clip.mkv")) as container:
            chosen = choose_streams(container)
            assert all(s.disposition & av.stream.Disposition.default for s in (chosen.video, chosen.audio))
        whole, part = (
            seconds_of(HARD / "two_tracks/clip.mkv")[0],
            seconds_of(self.segment(tmp_path, "two_tracks/clip.mkv", 2, 4))[0],
        )
        assert np.abs(whole[2].frames.astype(int) - part[0].frames.astype(int)).mean() < 4

    def test_class_names(self):
        from avzsl.pretrained.words import words_of

        for name in (HARD / "class_names/names.txt").read_text(encoding="utf-8").splitlines():
            assert len(words_of(name, lowercase=True)) == len(name.split()), name

    def segment(self, folder: Path, name: str, start: float, end: float) -> Path:
        out = folder / "cut.mp4"
        facts = cut([HARD / name], str(out), start, end, 16, 0.3)
        assert facts["status"] == "ok", facts
        return out
