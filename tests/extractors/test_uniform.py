"""Uniform windows: where they lie, and what they show and sound like."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from extractors.base import ClipError, ClipInfo, Window
from extractors.selavi.picture import normalise
from extractors.selavi.sound import log_filterbank
from extractors.selavi.uniform import read_uniform

Make = Callable[..., Path]


def read(path: Path, *, antialias: bool = False) -> tuple[list[Window], ClipInfo]:
    info = ClipInfo()
    return list(read_uniform(path, info, antialias=antialias)), info


def levels(window: Window) -> np.ndarray:
    """Return the grey level of each of a window's 30 frames."""
    return (window.visual.mean(axis=(1, 2, 3)) * 0.225 + 0.45) * 255


@pytest.mark.parametrize(
    ("seconds", "times"),
    [
        (0.5, [(0, 0.5)]), (0.9, [(0, 0.9)]), (1.0, [(0, 1)]), (1.4, [(0, 1)]), (1.6, [(0, 1), (1, 1.6)]),
        (3.0, [(0, 1), (1, 2), (2, 3)]),
    ],
)  # fmt: skip
def test_windows_cover_the_clip(make_clip: Make, seconds: float, times: list[tuple[float, float]]) -> None:
    windows, info = read(make_clip(seconds=seconds))
    assert np.array([(w.start, w.end) for w in windows]) == pytest.approx(np.array(times), abs=2e-3)
    assert all(w.visual.shape == (30, 112, 112, 3) and w.audio.shape == (1, 257, 99) for w in windows)
    assert info.duration_s == pytest.approx(seconds, abs=0.03)
    assert info.fps == 30


def test_too_short(make_clip: Make) -> None:
    with pytest.raises(ClipError) as caught:
        read(make_clip(seconds=0.2))
    assert caught.value.status == "too_short"
    with pytest.raises(ClipError) as caught:
        read(make_clip(seconds=3.0, audio_seconds=0.3))
    assert caught.value.status == "too_short"


@pytest.mark.parametrize("fps", [5, 10, 12.5, 15, Fraction(24000, 1001), 25, Fraction(30000, 1001), 30, 50, 60, 120])
def test_frames_are_those_on_show(make_clip: Make, fps: float) -> None:
    fps = Fraction(fps)
    windows, _ = read(make_clip(seconds=2.0, fps=fps, codec="mpeg4", options={"qscale": "2"}))
    for window in windows:
        # The middle of each 1/30 s; a frame is on show until the next one.
        moments = window.start + (np.arange(30) + 0.5) / 30
        frames = np.minimum(np.floor(moments * float(fps) + 1e-9), round(2.0 * fps) - 1)
        expected = np.floor(frames / float(fps) * 10 + 1e-9) * 20 % 256
        assert np.abs(levels(window) - expected).max() < 8


def test_variable_frame_rate(make_clip: Make) -> None:
    times = [0.0, 0.05, 0.1, 0.6, 0.65, 1.3, 1.95, 2.0]
    windows, _ = read(make_clip("vfr.mkv", seconds=2.0, times=times))
    shown = np.concatenate([levels(w) for w in windows])
    for slot, level in enumerate(shown[:58]):
        moment = (slot + 0.5) / 30
        last = max(t for t in times if t <= moment + 1e-3)
        assert abs(level - int(last * 10) * 20 % 256) < 8, (moment, last)


def test_sound_and_picture_are_cut_at_the_same_times(make_clip: Make) -> None:
    # A click begins at 1.5 s with a flash: both are in the second window, half way.
    path = make_clip(
        "sync.mkv", seconds=3.0, audio_codec="pcm_s16le", picture=lambda t: np.full((48, 64, 3), 235 if t >= 1.5 else 16, np.uint8),
        loud=lambda t: np.where(t >= 1.5, 8000 * np.sin(2 * np.pi * 3000 * t), 0.0),
    )  # fmt: skip
    windows, _ = read(path)
    assert levels(windows[0]).max() < 40
    assert levels(windows[2]).min() > 200
    assert (levels(windows[1]) > 128).argmax() == 15
    loud = windows[1].audio.max(axis=(0, 1))
    assert abs((loud > 0).argmax() - 49) <= 1
    assert windows[0].audio.max() < 0


def test_a_later_stream_begins_the_clip(make_clip: Make, tmp_path: Path) -> None:
    # The sound of this copy begins half a second after its picture: second 0 is where both have begun.
    source = make_clip("late.mkv", seconds=2.6, audio_codec="pcm_s16le")
    shifted = tmp_path / "shifted.mkv"
    with av.open(str(source)) as given, av.open(str(shifted), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in given.streams}
        for packet in given.demux():
            if packet.dts is None:
                continue
            stream = packet.stream
            if stream.type == "audio":
                packet.pts += round(0.5 / packet.time_base)
                packet.dts = packet.pts
            packet.stream = streams[stream.index]
            out.mux(packet)
    windows, _ = read(shifted)
    assert np.array([(w.start, w.end) for w in windows]) == pytest.approx(np.array([(0, 1), (1, 2)]), abs=0.01)
    assert levels(windows[0])[0] == pytest.approx(100, abs=8)


def test_a_partial_window_holds_its_last_frame_and_ends_in_silence(make_clip: Make) -> None:
    [window], _ = read(make_clip("partial.mkv", seconds=0.6, audio_codec="pcm_s16le"))
    assert np.array_equal(window.visual[18], window.visual[29])
    assert window.end == pytest.approx(0.6, abs=1e-6)
    assert window.audio[..., 62:] == pytest.approx(-2.122619)
    assert window.audio[..., :55].max() > 0


def test_sound_is_that_of_the_second(make_clip: Make) -> None:
    path = make_clip("tone.mkv", seconds=2.0, audio_codec="pcm_s16le")
    t = np.arange(88200) / 44100
    wave = (8000 * np.sin(2 * np.pi * 440 * t)).astype(np.int16)
    windows, info = read(path)
    assert info.audio_samples == 88200
    assert np.array_equal(windows[1].audio, log_filterbank(wave[44100:]))


@pytest.mark.parametrize(
    ("rate", "layout", "codec"), [(8000, "mono", "pcm_s16le"), (48000, "5.1", "aac"), (22050, "stereo", "aac")]
)
def test_rates_and_channels(make_clip: Make, rate: int, layout: str, codec: str) -> None:
    windows, _ = read(make_clip("rates.mkv", seconds=1.2, rate=rate, layout=layout, audio_codec=codec))
    energy = windows[0].audio[0].mean(axis=1)
    # The filter that a 440 Hz tone falls into, whatever the file's rate.
    assert abs(int(energy.argmax()) - 37) < 4


@pytest.mark.parametrize("matrix", [1, 5])
def test_colour_matrix_is_honoured(make_clip: Make, matrix: int) -> None:
    colour = np.uint8([200, 40, 90])
    path = make_clip(
        "tagged.mp4", picture=lambda t: np.broadcast_to(colour, (48, 64, 3)).copy(), tags={"colorspace": matrix}
    )
    [window], _ = read(path)
    mean = (window.visual.mean(axis=(0, 1, 2)) * 0.225 + 0.45) * 255
    untagged, _ = read(make_clip("untagged.mp4", picture=lambda t: np.broadcast_to(colour, (48, 64, 3)).copy()))
    same = np.abs(mean - (untagged[0].visual.mean(axis=(0, 1, 2)) * 0.225 + 0.45) * 255).max() < 3
    assert same == (matrix == 5)


def test_rotation_is_honoured(make_clip: Make, tmp_path: Path) -> None:
    def picture(t: float) -> np.ndarray:
        image = np.zeros((48, 64, 3), np.uint8)
        image[:24] = 230  # the upper half is light
        return image

    source = make_clip("upright.mp4", picture=picture)
    raw = bytearray(source.read_bytes())
    # The display matrix of the video track header: a quarter turn clockwise in place of the identity.
    identity = b"\x00\x01\x00\x00" + bytes(12) + b"\x00\x01\x00\x00" + bytes(12) + b"\x40\x00\x00\x00"
    quarter = bytes(4) + b"\x00\x01\x00\x00" + bytes(4) + b"\xff\xff\x00\x00" + bytes(16) + b"\x40\x00\x00\x00"
    place = raw.index(identity, raw.index(b"tkhd"))
    raw[place : place + 36] = quarter
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(raw)
    with av.open(str(turned)) as container:
        rotation = next(container.decode(video=0)).rotation
    assert rotation % 360 in (90, 270)
    [window], _ = read(turned)
    light = window.visual[0].mean(axis=2)
    left, right = light[:, :56].mean(), light[:, 56:].mean()
    # A clockwise quarter turn brings the upper half to the right.
    assert (right - left) * (1 if rotation % 360 == 270 else -1) > 1
    assert abs(light[:56].mean() - light[56:].mean()) < 0.5


def test_antialiased_frames(make_clip: Make) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (448, 448, 3), np.uint8)
    path = make_clip("noise.mp4", size=(448, 448), picture=lambda t: noise)
    smooth, _ = read(path, antialias=True)
    sharp, _ = read(path)
    assert smooth[0].visual.dtype == np.uint8
    assert smooth[0].visual.shape == (30, 112, 112, 3)
    assert normalise(smooth[0].visual).std() < 0.5 * sharp[0].visual.std()


def test_a_file_that_ends_early_says_so(make_clip: Make, tmp_path: Path) -> None:
    whole = make_clip("early.flv", seconds=6.0)
    cut = tmp_path / "cut.mp4"
    moved = make_clip("moved.mp4", seconds=6.0, loud=lambda t: 8000 * np.sin(2 * np.pi * 440 * t))
    with av.open(str(moved)) as given, av.open(str(cut), "w", options={"movflags": "faststart"}) as out:
        streams = {s.index: out.add_stream_from_template(s) for s in given.streams}
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 2 // 3])
    windows, info = read(cut)
    assert 1 <= len(windows) <= 5
    assert info.note is not None
    assert "of the stated 6.0 s" in info.note
    assert read(whole)[1].note is None


def test_cover_pictures_are_no_video(make_clip: Make, tmp_path: Path) -> None:
    cover = tmp_path / "cover.mp4"
    source = make_clip("song.m4a", video=False)
    with av.open(str(source)) as given, av.open(str(cover), "w") as out:
        sound = out.add_stream_from_template(given.streams.audio[0])
        picture = out.add_stream("mjpeg", rate=1)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuvj420p"
        picture.disposition = av.stream.Disposition.attached_pic
        packets = picture.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24"))
        out.mux(packets)
        for packet in given.demux(given.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = sound
                out.mux(packet)
    with pytest.raises(ClipError) as caught:
        read(cover)
    assert caught.value.status == "no_video_stream"


def test_a_name_is_never_a_protocol(make_clip: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_clip().read_bytes()
    monkeypatch.chdir(tmp_path)
    for name in ("-clip.mp4", "concat:a.mp4", "a b'\"ü%.mp4", "http:x.mp4"):
        Path(name).write_bytes(data)
        assert len(read(Path(name))[0]) == 1


def test_playlists_reach_nothing_else(make_clip: Make, tmp_path: Path) -> None:
    target = make_clip()
    playlist = tmp_path / "list.mp4"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.2,\nfile://{target}\n#EXT-X-ENDLIST\n")
    with pytest.raises(ClipError):
        read(playlist)
    script = tmp_path / "concat.mp4"
    script.write_text(f"ffconcat version 1.0\nfile '{target}'\n")
    with pytest.raises(ClipError):
        read(script)


def test_reading_never_imports_torch(make_clip: Make) -> None:
    code = (
        "import sys; from pathlib import Path; from extractors.base import ClipInfo; from extractors import selavi\n"
        "from extractors.selavi import Options\n"
        "f = Options.model_validate({'weights': {'random_seed': 0}})\n"
        f"assert len(list(selavi.read(Path({str(make_clip())!r}), f, ClipInfo()))) == 1\n"
        "assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
