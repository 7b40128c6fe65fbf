"""Cuts are exact: the picture to the frame, the sound to the sample, both in step."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext

import av
import numpy as np
import pytest

from avzsl.acquisition import cut
from avzsl.acquisition.errors import ClipError
from avzsl.acquisition.sandbox import Sandbox
from avzsl.media.clock import Joins


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(60) as process:
        yield process


@pytest.fixture(scope="module")
def video(tmp_path_factory, make_clip):
    """Grey levels count frames, a click comes each half second; one key frame in ten seconds."""
    return make_clip(tmp_path_factory.mktemp("cut") / "v.mp4", seconds=20, gop=250)


def grey(i: int) -> float:
    return 16 + (i * 4) % 220


def look(path):
    """Return the grey level of each frame with its time, and the wave at 16 kHz from time 0 on."""
    with av.open(str(path)) as clip:
        frames = [(f.time, f.to_ndarray(format="gray").mean()) for f in clip.decode(video=0)]
    with av.open(str(path)) as clip:
        parts = [(f.time, f.to_ndarray()[0]) for f in clip.decode(audio=0)]
    lead = round(parts[0][0] * 16000)
    wave = np.concatenate([part for _, part in parts])
    return frames, wave[-lead:] if lead < 0 else np.concatenate([np.zeros(lead), wave])


@pytest.mark.parametrize(
    ("start", "end"), [(0.0, 5.0), (3.33, 8.33), (9.99, 12.0), (12.0, 19.5), (None, 4.0), (15.0, None), (7.013, 7.613)]
)
def test_a_segment_starts_where_it_should(tmp_path, sandbox, video, start, end):
    out = tmp_path / "o.mp4"
    facts = sandbox.cut([video], out, start, end, crf=12, tolerance_s=0.3)
    begin, stop = start or 0.0, 20.0 if end is None else end
    frames, wave = look(out)
    first = int(begin * 25 + 1e-6)  # the frame on show at the start
    assert facts["start_error_s"] == 0
    for i, (time, level) in enumerate(frames):
        assert level == pytest.approx(grey(first + i), abs=2.5)
        assert time == pytest.approx(max(0.0, (first + i) / 25 - begin), abs=1e-3)
    assert len(frames) == pytest.approx((stop - begin) * 25, abs=1)
    # Clicks where they were: at multiples of half a second of the source.
    clicks = np.flatnonzero(np.abs(wave) > 0.3) / 16000
    onsets = clicks[np.diff(clicks, prepend=-1) > 0.2]
    expected = np.arange(np.ceil(begin * 2) / 2, stop - 0.02, 0.5) - begin
    assert len(onsets) == len(expected)
    assert np.abs(onsets - expected).max() < 0.003
    assert len(wave) / 16000 == pytest.approx(stop - begin, abs=0.07)


CODECS = {
    ".webm": (("libvpx", {"deadline": "realtime", "cpu-used": "8", "b": "500k"}), ("libopus", 48000)),
    ".avi": (("mpeg4", {"bf": "2", "b": "2000k", "g": "50"}), ("mp3", 16000)),  # UCF101's kind: B-frames in AVI
}


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".avi", ".webm"])
def test_any_container(tmp_path, sandbox, video, suffix):
    """Containers that begin at another time than 0 (broadcast) count from their beginning."""
    other = tmp_path / f"v{suffix}"
    with av.open(str(video)) as source, av.open(str(other), "w") as copy:
        if suffix in CODECS:
            (codec, options), (sound, rate) = CODECS[suffix]
            pictures = copy.add_stream(codec, rate=25, options=options)
            pictures.width = pictures.height = 64
            sounds = copy.add_stream(sound, rate=rate, layout="mono")
            for frame in source.decode(source.streams.video[0], source.streams.audio[0]):
                if isinstance(frame, av.VideoFrame):
                    frame.pict_type = 0
                copy.mux((pictures if isinstance(frame, av.VideoFrame) else sounds).encode(frame))
            copy.mux(pictures.encode())
            copy.mux(sounds.encode())
        else:
            streams = {s.index: copy.add_stream_from_template(s) for s in source.streams}
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    copy.mux(packet)
    out = tmp_path / "o.mp4"
    sandbox.cut([other], out, 8.0, 11.0, crf=12, tolerance_s=0.3)
    with av.open(str(other)) as clip:
        # Copying makes room for the codec's priming: the picture begins a little after the container.
        begin = clip.start_time / av.time_base
        shift = next(clip.decode(video=0)).time - (begin if begin > 0.5 else 0.0)
    frames, wave = look(out)
    assert frames[0][1] == pytest.approx(grey(int((8.0 - shift) * 25 + 1e-3)), abs=3)
    assert len(frames) == pytest.approx(75, abs=1)
    with av.open(str(out)) as clip:
        rate = clip.streams.audio[0].rate
    clicks = np.flatnonzero(np.abs(wave) > 0.25) / rate
    assert min((clicks[0] - shift) % 0.5, (shift - clicks[0]) % 0.5) < 0.03


def test_picture_and_sound_from_two_files(tmp_path, sandbox, make_clip, video):
    """As YouTube serves them."""
    files = []
    for kind in ("video", "audio"):
        files.append(tmp_path / f"{kind}.mp4")
        with av.open(str(video)) as source, av.open(str(files[-1]), "w") as copy:
            stream = getattr(source.streams, kind)[0]
            target = copy.add_stream_from_template(stream)
            for packet in source.demux(stream):
                if packet.dts is not None:
                    packet.stream = target
                    copy.mux(packet)
    out = tmp_path / "o.mp4"
    sandbox.cut(files, out, 6.25, 9.25, crf=12, tolerance_s=0.3)
    frames, wave = look(out)
    assert frames[0][1] == pytest.approx(grey(156), abs=2.5)
    clicks = np.flatnonzero(np.abs(wave) > 0.3) / 16000
    assert clicks[0] == pytest.approx(0.25, abs=0.003)


def test_late_sound_stays_late(tmp_path, sandbox, make_clip):
    """A sound stream that begins a second after the picture is not pulled forward."""
    video = make_clip(tmp_path / "v.mp4", seconds=6)
    late = tmp_path / "late.mkv"
    with av.open(str(video)) as source, av.open(str(late), "w") as copy:
        streams = {s.index: copy.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                shift = round(1 / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = streams[packet.stream.index]
            copy.mux(packet)
    out = tmp_path / "o.mp4"
    sandbox.cut([late], out, 0.25, 4.25, crf=12, tolerance_s=0.3)
    _, wave = look(out)
    assert np.abs(wave[: int(0.7 * 16000)]).max() < 0.05
    assert (np.abs(wave) > 0.3).nonzero()[0][0] / 16000 == pytest.approx(0.75, abs=0.003)


@pytest.mark.parametrize(("start", "end"), [(18.0, 28.0), (40.0, 50.0)])
def test_a_segment_beyond_the_end_is_short(tmp_path, sandbox, video, start, end):
    with pytest.raises(ClipError) as caught:
        sandbox.cut([video], tmp_path / "o.mp4", start, end, crf=18, tolerance_s=0.5)
    assert caught.value.status == "shorter_than_segment"
    assert f"{max(0.0, 20.0 - start):.2f} s into the segment of 10.00 s" in str(caught.value)


def test_sound_that_ends_before_the_picture_makes_a_segment_short(tmp_path, sandbox, make_clip, video):
    early = tmp_path / "early.mp4"
    with av.open(str(video)) as source, av.open(str(early), "w") as copy:
        streams = {s.index: copy.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None and (packet.stream.type == "video" or packet.pts * packet.time_base < 10):
                packet.stream = streams[packet.stream.index]
                copy.mux(packet)
    with pytest.raises(ClipError, match="the sound ends 2") as caught:
        sandbox.cut([early], tmp_path / "o.mp4", 8.0, 14.0, crf=18, tolerance_s=0.5)
    assert caught.value.status == "shorter_than_segment"


def test_reading_begins_shortly_before_the_segment(monkeypatch):
    """Three hours are not decoded for ten seconds of their end; what seeks too far goes further back."""

    class Container:
        start_time = 0

        def __init__(self, late: float) -> None:
            self.late, self.asked = late, []

        def seek(self, at: int) -> None:
            self.asked.append(at / av.time_base)

    for late, sought in ((0.0, [999.75]), (5.0, [999.75, 987.75])):
        container = Container(late)
        monkeypatch.setattr(cut, "open_container", lambda path, c=container: nullcontext(c))
        with ExitStack() as stack:
            items = cut._covering(
                stack, "v.mp4", container, Joins(), 1000.0, lambda c, zero, sought: iter([c.asked[-1] + c.late]), float
            )
            assert next(items) <= 1000.0
        assert container.asked == pytest.approx(sought)


def test_what_is_missing_is_named(tmp_path, sandbox, make_clip):
    for kind in ("audio", "video"):
        path = make_clip(tmp_path / f"no-{kind}.mp4", seconds=2, **{kind: False})
        with pytest.raises(ClipError) as caught:
            sandbox.cut([path], tmp_path / "o.mp4", 0.5, 1.5, crf=18, tolerance_s=0.5)
        assert caught.value.status == f"no_{kind}_stream"
    text = tmp_path / "t.mp4"
    text.write_text("nothing")
    with pytest.raises(ClipError) as caught:
        sandbox.cut([text], tmp_path / "o.mp4", 0.5, 1.5, crf=18, tolerance_s=0.5)
    assert caught.value.status == "corrupt"


def test_odd_sizes_and_rates(tmp_path, sandbox, make_clip):
    path = make_clip(tmp_path / "odd.mkv", seconds=3, size=64)
    odd = tmp_path / "odd2.mkv"
    with av.open(str(path)) as source, av.open(str(odd), "w") as copy:
        picture = copy.add_stream("ffv1", rate=25)
        picture.width, picture.height, picture.pix_fmt = 63, 47, "yuv444p"
        sound = copy.add_stream("flac", rate=7919, layout="mono")
        resampler = av.AudioResampler("s16", "mono", 7919)
        for frame in source.decode(source.streams.video[0], source.streams.audio[0]):
            if isinstance(frame, av.VideoFrame):
                copy.mux(picture.encode(frame.reformat(63, 47, "yuv444p")))
            else:
                for part in resampler.resample(frame):
                    copy.mux(sound.encode(part))
        copy.mux(picture.encode())
        copy.mux(sound.encode())
    sandbox.cut([odd], tmp_path / "o.mp4", 1.0, 2.5, crf=18, tolerance_s=0.2)
    facts = sandbox.probe(str(tmp_path / "o.mp4"))
    assert facts["status"] == "ok" and (facts["width"], facts["height"], facts["audio_rate"]) == (62, 46, 48000)
