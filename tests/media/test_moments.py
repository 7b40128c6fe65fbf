"""From when to when a picture is on show and where sound is silent, to the second: frames by hand in place of a decoder."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from avzsl.media import pictures, sound
from avzsl.media.clock import Joins
from avzsl.media.errors import MediaError
from avzsl.media.findings import Findings

TICKS = Fraction(1, 100)


def frame(pts: int | None, level: int = 0, **keys: Any) -> Any:
    return SimpleNamespace(**{"pts": pts, "is_corrupt": False, "duration": 0, "level": level, **keys})


def container(seconds: float | None = None, start: float | None = None) -> Any:
    def us(value: float | None) -> int | None:
        return None if value is None else round(value * av.time_base)

    return SimpleNamespace(duration=us(seconds), start_time=us(start))


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch):
    """Return a function: frames -> [(time, until)] and findings."""
    monkeypatch.setattr(pictures, "luma", lambda f: np.full((2, 3), f.level, np.uint8))

    def run(frames: Iterable[Any], rate: Any = 25, base: Any = TICKS, holder: Any = None) -> tuple[list[Any], Findings]:
        monkeypatch.setattr(pictures, "decode_video", lambda *_, **__: iter(frames))
        findings = Findings()
        stream = SimpleNamespace(average_rate=rate and Fraction(rate), time_base=base)
        shown = list(pictures.shown_pictures(holder or container(), stream, findings))
        assert [p.last for p in shown] == [False] * (len(shown) - 1) + [True] * bool(shown)
        return [(round(p.time, 6), round(p.until, 6)) for p in shown], findings

    return run


def test_a_picture_is_on_show_until_the_next(show) -> None:
    shown, findings = show([frame(10), frame(14), frame(30)])
    assert shown == [(0.1, 0.14), (0.14, 0.3), (0.3, 0.34)]
    assert (findings.frames, findings.lost_frames, findings.frozen_s) == (3, 0, 0)
    assert show([])[0] == []


def test_what_states_no_rate_shows_25_a_second(show) -> None:
    assert show([frame(0)], rate=None)[0] == [(0.0, 0.04)]
    assert show([frame(0)], rate=5)[0] == [(0.0, 0.2)]
    assert show([frame(7)], base=None)[0] == [(0.0, 0.04)]


def test_frames_without_a_time_follow_each_other(show) -> None:
    shown, _ = show([frame(None), frame(None), frame(50), frame(None)], rate=10)
    assert shown == [(0.0, 0.1), (0.1, 0.5), (0.5, 0.6), (0.6, 0.7)]


def test_a_clock_that_goes_back_a_second_is_obeyed_at_once_and_one_that_goes_back_more_is_lost(show) -> None:
    shown, findings = show([frame(200), frame(100), frame(99), frame(210)])
    assert shown == [(2.0, 2.0), (2.0, 2.1), (2.1, 2.14)]
    assert (findings.frames, findings.lost_frames) == (3, 1)


def test_damaged_pictures_are_counted(show) -> None:
    _, findings = show([frame(0), frame(4, is_corrupt=True), frame(8, is_corrupt=True)])
    assert (findings.frames, findings.lost_frames) == (3, 2)


@pytest.mark.parametrize(
    ("rate", "gap", "frozen"),
    [(25, 100, 0.0), (25, 104, 1.0), (2, 150, 0.0), (2, 160, 1.1), (25, 1000, 9.96)],
)
def test_how_long_the_picture_stood_still(show, rate, gap, frozen) -> None:
    """Beyond a second, and beyond three pictures of a slow film; the picture's own time is not counted."""
    _, findings = show([frame(0), frame(gap)], rate=rate)
    assert findings.frozen_s == pytest.approx(frozen)


def test_frozen_gaps_add_up(show) -> None:
    _, findings = show([frame(0), frame(200), frame(204), frame(504)])
    assert findings.frozen_s == pytest.approx(1.96 + 2.96)


@pytest.mark.parametrize(
    ("levels", "moved"),
    [((50, 50, 50), False), ((50, 56, 44), False), ((50, 57, 50), True), ((50, 50, 43), True), ((50, 80, 50), True)],
)
def test_a_still_picture(show, levels, moved) -> None:
    """Against the first picture, and what moved once has moved."""
    assert show([frame(k * 4, level) for k, level in enumerate(levels)])[1].moved is moved


def test_pictures_of_two_sizes_are_not_the_same() -> None:
    one, other = np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8)
    assert not pictures.same_picture(one, other)
    assert pictures.same_picture(one, one)
    spot = one.copy()
    spot[1, 2] = 7
    assert not pictures.same_picture(one, spot) and not pictures.same_picture(spot, one)
    assert pictures.same_picture(np.zeros((0, 3), np.uint8), np.zeros((0, 3), np.uint8))


@pytest.mark.parametrize(
    ("frames", "holder", "until"),
    [
        ([frame(100, duration=30)], container(), 1.3),  # its stated duration
        ([frame(100)], container(), 1.04),  # else one picture's time
        ([frame(100)], container(4.0), 4.0),  # an only picture stays to the end of the file
        ([frame(100)], container(4.0, 0.5), 4.5),
        ([frame(100, duration=30)], container(0.5), 1.3),
        ([frame(96), frame(100)], container(4.0), 1.04),  # of several the last does not
        ([frame(100, duration=-5)], container(), 1.04),
    ],
)
def test_how_long_the_last_picture_stays(show, frames, holder, until) -> None:
    assert show(frames, holder=holder)[0][-1][1] == until


def test_an_unknown_or_endless_duration_is_one_pictures_time_of_a_second_at_most(show) -> None:
    assert show([frame(100, duration=-5)], rate=Fraction(1, 4))[0] == [(1.0, 2.0)]
    assert show([frame(100, duration=30)], base=None)[0] == [(0.0, 0.04)]


def test_a_frame_of_8k_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def frames(*sizes: tuple[int, int]) -> list[tuple[int, int]]:
        monkeypatch.setattr(
            pictures, "decode", lambda *_, **__: iter([SimpleNamespace(width=w, height=h) for w, h in sizes])
        )
        context = SimpleNamespace(width=64, height=64, options=None)
        stream = SimpleNamespace(codec_context=context, thread_type="AUTO")
        found = [(f.width, f.height) for f in pictures.decode_video(container(), stream, strict=True)]
        assert context.options == {"max_pixels": "40000000"} and stream.thread_type == "NONE"
        return found

    assert frames((7680, 4320), (0, 5), (5, 0), (8000, 5000)) == [(7680, 4320), (8000, 5000)]
    with pytest.raises(MediaError, match="8000 x 5001"):
        frames((8000, 5001))
    for width, height in ((8000, 5000), (8000, 5001)):
        stream = SimpleNamespace(codec_context=SimpleNamespace(width=width, height=height, options=None))
        monkeypatch.setattr(pictures, "decode", lambda *_, **__: iter(()))
        if height == 5000:
            assert list(pictures.decode_video(container(), stream, strict=True)) == []
        else:
            with pytest.raises(MediaError, match="8000 x 5001"):
                list(pictures.decode_video(container(), stream, strict=True))
    with pytest.raises(MediaError, match="no decoder"):
        list(pictures.decode_video(container(), SimpleNamespace(codec_context=None), strict=True))


RATE = 100


def chunk(count: int, channels: int = 0) -> np.ndarray:
    return np.ones((channels, count) if channels else count, np.int16)


@pytest.fixture
def hear(monkeypatch: pytest.MonkeyPatch):
    """Return a function: (time, samples) -> [(time, number, silent)] and the seconds of silence."""

    def run(chunks: list[tuple[float | None, np.ndarray]], end: float = math.inf) -> tuple[list[Any], float]:
        monkeypatch.setattr(sound, "decode_audio", lambda *_, **__: iter(chunks))
        monkeypatch.setattr(sound, "stated_end", lambda *_: end)
        findings = Findings()
        got = list(sound.decode_audio_on_time(container(), SimpleNamespace(), RATE, findings=findings))
        return [(round(t, 6), c.shape[-1], not c.any()) for t, c in got], round(findings.silence_s, 6)

    return run


def test_sound_without_holes_counts_its_samples(hear) -> None:
    chunks = [(2.0, chunk(100)), (3.01, chunk(0)), (3.05, chunk(50)), (None, chunk(10))]
    assert hear(chunks) == ([(2.0, 100, False), (3.0, 50, False), (3.5, 10, False)], 0)
    assert hear([(None, chunk(10)), (5.0, chunk(10))])[0][0] == (0.0, 10, False)
    assert hear([(math.inf, chunk(10))])[0] == [(0.0, 10, False)]


@pytest.mark.parametrize(
    ("time", "silent"), [(1.0, 0), (1.04, 0), (1.0625, 6), (1.5, 50), (0.5, 0), (11.0, 1000), (25.0, 2400), (61.0, 6000), (61.5, 0)]
)  # fmt: skip
def test_holes_are_silence_up_to_a_minute_where_no_end_is_stated(hear, time, silent) -> None:
    got, seconds = hear([(0.0, chunk(100)), (time, chunk(10))])
    quiet = [(at, count) for at, count, is_silent in got if is_silent]
    assert sum(count for _, count in quiet) == silent
    assert seconds == pytest.approx(time - 1.0 if silent else 0)
    assert [at for at, _ in quiet] == [1.0 + 10 * k for k in range(len(quiet))], "ten seconds at a time"
    assert all(count <= 1000 for _, count in quiet)
    assert got[-1] == (1.0 + silent / RATE, 10, False)


@pytest.mark.parametrize(
    ("time", "end", "silent"), [(20.0, 20.0, 1900), (20.25, 20.0, 0), (90.0, 100.0, 8900), (9.0, 5.0, 800), (11.0, 5.0, 1000), (11.5, 5.0, 0)]
)  # fmt: skip
def test_longer_holes_are_believed_up_to_the_stated_end(hear, time, end, silent) -> None:
    got, _ = hear([(0.0, chunk(100)), (time, chunk(10))], end)
    assert sum(count for _, count, quiet in got if quiet) == silent


def test_silence_has_the_channels_of_the_sound(monkeypatch) -> None:
    monkeypatch.setattr(
        sound, "decode_audio", lambda *_, **__: iter([(0.0, chunk(100, 2)), (3.0, chunk(20, 2)), (4.2, chunk(5, 2))])
    )
    got = list(sound.decode_audio_on_time(container(), SimpleNamespace(duration=None), RATE))
    assert [(round(t, 6), c.shape) for t, c in got] == [
        (0.0, (2, 100)), (1.0, (2, 200)), (3.0, (2, 20)), (3.2, (2, 100)), (4.2, (2, 5)),
    ]  # fmt: skip


def stream(seconds: float | None, start: float | None = None) -> Any:
    def ticks(value: float | None) -> int | None:
        return None if value is None else round(value * 100)

    return SimpleNamespace(duration=ticks(seconds), start_time=ticks(start), time_base=TICKS)


@pytest.mark.parametrize(
    ("whole", "own", "end"),
    [
        (container(8.0), stream(None), 9.0),
        (container(8.0, 0.5), stream(None), 9.5),
        (container(8.0), stream(9.0), 10.0),
        (container(8.0, 4.0), stream(9.0), 13.0),
        (container(8.0), stream(9.0, 2.0), 12.0),
        (container(None), stream(9.0), 10.0),
        (container(None), stream(None), math.inf),
    ],
)
def test_where_a_file_ends(whole, own, end) -> None:
    """As the later of the two statements says, with a second of grace."""
    assert sound.stated_end(whole, own) == pytest.approx(end)
    assert sound.stated_end(whole, own, Joins()) == pytest.approx(end)
    assert sound.stated_end(whole, own, Joins(shifts=(0.0, 5.0))) == math.inf


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("mono", "mono"), ("stereo", "stereo"), ("5.1(side)", "5.1(side)"), ("7.1", "7.1"), ("downmix", "downmix"), ("9 channels", None),
        ("2 channels", "stereo"), ("3 channels", "2.1"), ("4 channels", "4.0"), ("5 channels", "5.0"), ("6 channels", "5.1"),
        ("7 channels", "6.1"), ("8 channels", "7.1"), ("1 channels", "mono"),
    ],
)  # fmt: skip
def test_usual_names_of_so_many_channels(layout, name) -> None:
    count = int(layout.split()[0]) if "channels" in layout else av.AudioLayout(layout).nb_channels
    assert sound.usual_layout(SimpleNamespace(name=layout, nb_channels=count)) == name
    assert sound.usual_layout(SimpleNamespace(name="", nb_channels=6)) == "5.1"
    assert sound.usual_layout(SimpleNamespace(name="hexadecagonal", nb_channels=16)) is None


def test_a_frame_counts_for_as_long_as_it_sounds(monkeypatch) -> None:
    frames = [
        SimpleNamespace(layout=SimpleNamespace(nb_channels=1), time=0.5, samples=50, sample_rate=100),
        SimpleNamespace(layout=SimpleNamespace(nb_channels=1), time=None, samples=9, sample_rate=0),
    ]
    monkeypatch.setattr(sound, "decode", lambda *_, **__: iter(frames))

    class Silent:
        def __init__(self, value: int) -> None:
            self.value = value

        def __call__(self, _: Any) -> np.ndarray:
            return np.array([0, self.value], np.int16)

        def flush(self) -> np.ndarray:
            return np.zeros(3, np.int16)

    for value in (0, 1):
        findings = Findings()
        got = list(
            sound.decode_audio(
                container(), SimpleNamespace(codec_context=1, rate=8000), 8000, convert=Silent(value), findings=findings
            )
        )
        assert [(time, len(wave)) for time, wave in got] == [(0.5, 2), (None, 2), (None, 3)]
        assert findings.sound_s == 0.5 and findings.heard is bool(value)
    with pytest.raises(MediaError, match="no decoder"):
        list(sound.decode_audio(container(), SimpleNamespace(codec_context=None), 8000))


def test_a_converter_counts_samples_at_the_rate_asked_for() -> None:
    def block(rate: int, layout: str, value: int = 3000) -> av.AudioFrame:
        channels = av.AudioLayout(layout).nb_channels
        made = av.AudioFrame.from_ndarray(np.full((1, 800 * channels), value, np.int16), format="s16", layout=layout)
        made.sample_rate = rate
        return made

    mono = sound.Converter(8000)
    assert mono(block(8000, "mono")).tolist() == [3000] * 800
    stereo = sound.Converter(8000, "stereo")
    wave = stereo(block(8000, "stereo"))
    assert wave.shape == (2, 800) and wave == pytest.approx(3000 / 32768)
    # Of another layout: mixed to mono, and given to every channel.
    wave = np.concatenate([sound.Converter(8000, "stereo")(block(8000, "mono")), stereo.flush()], 1)
    assert wave.shape == (2, 800) and wave == pytest.approx(3000 / 32768)
    # Another rate inside the stream: what was held back comes first, then the new rate's samples.
    changing = sound.Converter(8000)
    parts = [changing(block(16000, "mono")), changing(block(8000, "mono")), changing.flush()]
    assert sum(map(len, parts)) == pytest.approx(1200, abs=2)
    assert len(changing.flush()) == 0
    # More than eight channels: their mean.
    many = av.AudioFrame.from_ndarray(
        np.tile(np.arange(16, dtype=np.float32) / 32, 100)[None], format="flt", layout="hexadecagonal"
    )
    many.sample_rate = 8000
    assert sound.Converter(8000)(many) == pytest.approx(32768 * 7.5 / 32, abs=2)
