"""The cut shows and sounds what the whole file shows and sounds, for every kind of file."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from avzsl.acquisition.cut import cut
from avzsl.acquisition.probe import probe
from avzsl.media.display import Reformat, orientation, upright
from extractors.base import ClipInfo
from extractors.seconds import Second, read_uniform_seconds

from .files import scene, turned, write  # isort: skip

RATE = 16000


def seconds_of(path: Path) -> tuple[list[Second], ClipInfo]:
    """Read the uniform seconds of a file: sound at 16 kHz, ten upright RGB frames each."""
    reformat, info = Reformat(), ClipInfo()
    read = read_uniform_seconds(path, info, RATE, 10, lambda frame: upright(reformat(frame), orientation(frame)))
    return list(read), info


def cut_of(path: Path, start: float, end: float, **options: float) -> dict[str, object]:
    out = path.with_name(f"{path.name}-{start}-{end}.mp4")
    return cut([path], str(out), start, end, 10, 0.3, **options) | {"out": out}


def zero_of(path: Path) -> float:
    """Second 0 of the whole file on its container's clock: where both streams have begun."""
    with av.open(str(path)) as a, av.open(str(path)) as b:
        begin = (a.start_time or 0) / av.time_base
        picture, sound = next(a.decode(video=0)), next(b.decode(audio=0))
        return max(picture.time, sound.time) - (begin if abs(begin) > 0.5 else 0.0)


def lag(one: np.ndarray, other: np.ndarray, most: int = 400) -> int:
    """Samples by which `other` is later than `one`, from their correlation."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    size = min(a.size, b.size)
    spectrum = np.fft.rfft(a[:size], 2 * size).conj() * np.fft.rfft(b[:size], 2 * size)
    correlation = np.fft.irfft(spectrum)
    places = np.arange(-most, most + 1)
    return int(places[np.argmax(correlation[places])])


def assert_same(path: Path, start: int, end: int, levels: float = 2.0) -> dict[str, object]:
    """Compare the windows of a cut with those of the whole file at the same seconds."""
    whole, _ = seconds_of(path)
    zero = zero_of(path)
    facts = cut_of(path, start + zero, end + zero)
    assert facts["status"] == "ok", facts
    assert probe(str(facts["out"]))["duration_s"] == pytest.approx(end - start, abs=0.07)
    part, _ = seconds_of(facts["out"])
    assert len(part) == end - start
    for k, second in enumerate(part):
        other = whole[start + k]
        assert second.frames.shape == other.frames.shape
        difference = np.abs(second.frames.astype(int) - other.frames.astype(int))
        assert difference.mean() < levels, (k, difference.mean())
        size = min(second.samples.size, other.samples.size)
        assert size > 0.9 * RATE
        if not other.samples.any():
            assert np.abs(second.samples).max() < 30
            continue
        # Matroska and FLV round times to a millisecond.
        rounded = RATE // 1000 if path.suffix in {".mkv", ".webm", ".flv"} else 1
        assert np.abs(lag(other.samples[:size], second.samples[:size])) <= rounded
        loud, quiet = np.std(other.samples[:size] + 0.0), np.std(second.samples[:size] + 0.0)
        assert quiet == pytest.approx(loud, rel=0.08, abs=30)
    return facts


KINDS = {
    "mp4": ("c.mp4", {}),
    "b-frames": ("c.mp4", {"gop": 100}),
    "long gop": ("c.ts", {"gop": 150}),
    "mkv": ("c.mkv", {}),
    "flv": ("c.flv", {}),
    "ts": ("c.ts", {}),
    "mpg": ("c.mpg", {"codec": "mpeg2video", "audio_codec": "mp2", "gop": 60}),
    "webm": ("c.webm", {"codec": "libvpx", "audio_codec": "libopus", "rate": 48000}),
    "avi": ("c.avi", {"codec": "mpeg4", "audio_codec": "mp3"}),
    "pcm 1": ("c.avi", {"codec": "mpeg4", "audio_codec": "pcm_s16le", "rate": 8000}),
    "pcm 2": ("c.mkv", {"audio_codec": "pcm_s16le", "layout": "stereo"}),
    "pcm 6": ("c.avi", {"codec": "mpeg4", "audio_codec": "pcm_s16le", "layout": "5.1"}),
    "pcm 8": ("c.mkv", {"audio_codec": "pcm_s16le", "layout": "7.1", "rate": 48000}),
    "pcm 16": ("c.mkv", {"audio_codec": "pcm_s16le", "layout": "hexadecagonal", "rate": 48000}),
    "pcm 9": ("c.mkv", {"audio_codec": "pcm_s16le", "layout": "9 channels", "rate": 48000}),
    "adpcm": ("c.avi", {"codec": "mpeg4", "audio_codec": "adpcm_ms", "layout": "stereo", "rate": 22050}),
    "wma": ("c.wmv", {"codec": "wmv2", "audio_codec": "wmav2", "layout": "stereo"}),
    "96 kHz": ("c.mkv", {"audio_codec": "flac", "rate": 96000}),
    "BT.709": ("c.mp4", {"colour": {"colorspace": 1, "color_range": 1}}),
    "full range": ("c.mp4", {"colour": {"color_range": 2}}),
    "4:4:4": ("c.mp4", {"pix_fmt": "yuv444p", "colour": {"colorspace": 1}}),
    "frozen": ("c.mp4", {"times": [k / 25 for k in range(50)] + [k / 25 for k in range(125, 150)]}),
    "uneven": ("c.mkv", {"times": [k / 25 + (k % 3) * 0.011 for k in range(150)]}),
    "sound missing": ("c.mkv", {"silent_packets": (2.2, 3.7), "audio_codec": "pcm_s16le"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_cut_is_the_whole_file_there(kind: str, tmp_path: Path) -> None:
    name, options = KINDS[kind]
    assert_same(write(tmp_path / name, **options), 1, 5)


MATRICES = {
    "90": (0, 1, -1, 0), "180": (-1, 0, 0, -1), "270": (0, -1, 1, 0), "mirrored": (-1, 0, 0, 1), "upside down": (1, 0, 0, -1),
    "transposed": (0, 1, 1, 0), "transverse": (0, -1, -1, 0),
}  # fmt: skip


@pytest.mark.parametrize("kind", MATRICES)
def test_a_cut_is_upright(kind: str, tmp_path: Path) -> None:
    a, b, c, d = MATRICES[kind]
    path = turned(write(tmp_path / "straight.mp4", seconds=4), tmp_path / "turned.mp4", (a, b, c, d))
    assert_same(path, 1, 3)
    # The display matrix moves the point (x, y) to (a x + c y, b x + d y).
    [second, *_], _ = seconds_of(path)
    image = scene(0.04)
    rows, columns = np.indices(image.shape[:2])
    x, y = a * columns + c * rows, b * columns + d * rows
    expected = np.zeros((y.max() - y.min() + 1, x.max() - x.min() + 1, 3), np.uint8)
    expected[y - y.min(), x - x.min()] = image
    assert np.abs(second.frames[0].astype(int) - expected.astype(int)).mean() < 4


def test_the_picture_on_show_belongs_to_the_segment(tmp_path: Path) -> None:
    path = write(tmp_path / "c.mp4", times=[k / 25 for k in range(75)] + [5.5, 5.6], seconds=6)
    for start, end in ((2.5, 4.5), (3.5, 5.25)):
        facts = cut_of(path, start, end)
        assert facts["status"] == "ok" and facts["start_error_s"] == 0
        assert "no new picture" in str(facts["note"])
        assert probe(str(facts["out"]))["duration_s"] == pytest.approx(end - start, abs=0.05)
    assert probe(str(path))["variable_fps"] is True
    assert "no new picture" in probe(str(path))["note"]


@pytest.mark.parametrize("name", ["c.mp4", "c.mkv", "c.webm"])
def test_a_still_is_on_show_to_the_end_of_the_sound(name: str, tmp_path: Path) -> None:
    webm = {"codec": "libvpx", "audio_codec": "libopus", "rate": 48000} if name.endswith("webm") else {}
    path = write(tmp_path / name, times=[0.0], seconds=5, **webm)
    windows, info = seconds_of(path)
    assert len(windows) == 5 and "still" in str(info.note)
    assert probe(str(path))["duration_s"] == pytest.approx(5, abs=0.1)
    facts = cut_of(path, 2, 4)
    assert facts["status"] == "ok" and "still" in str(facts["note"])
    assert len(seconds_of(facts["out"])[0]) == 2


def test_silence_and_stillness_are_noted(tmp_path: Path) -> None:
    path = write(tmp_path / "c.mp4", seconds=3, picture=lambda moment: scene(0), sound=lambda t: 0 * t)
    _, info = seconds_of(path)
    facts = cut_of(path, 1, 2)
    for note in (str(info.note), str(facts["note"])):
        assert "silent" in note and "still" in note
    _, info = seconds_of(write(tmp_path / "d.mp4", seconds=3))
    assert info.note is None


def test_holes_keep_times_true(tmp_path: Path) -> None:
    times = [k / 25 for k in range(50)] + [k / 25 for k in range(350, 400)]
    path = write(tmp_path / "c.mkv", times=times, seconds=16, silent_packets=(1.5, 13.5))
    windows, info = seconds_of(path)
    assert len(windows) == 16
    assert "sound is missing for 12" in str(info.note) and "no new picture for 12" in str(info.note)
    assert not windows[5].samples.any()
    assert (windows[5].frames == windows[8].frames).all()
    assert np.abs(windows[15].frames[0].astype(int) - scene(15.05).astype(int)).mean() < 5
    facts = probe(str(path))
    assert "sound is missing for 12" in facts["note"] and "no new picture for 12" in facts["note"]
    assert_same(path, 11, 15)
