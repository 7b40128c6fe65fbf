"""From when until when pictures are shown and sound is heard, on frames that say nothing but their times."""

from __future__ import annotations

import math
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
from avzsl.media.pictures import decode_video, same_picture, shown_pictures
from avzsl.media.sound import decode_audio_on_time, stated_end, usual_layout


def shown(
    monkeypatch,
    times: list[Any],
    rate: int = 10,
    levels: list[int] | None = None,
    held: int = 0,
    length: int = 0,
    **keys: Any,
) -> tuple[list[tuple[float, float, bool]], Findings]:
    """Times are ticks of the frame rate; None: the frame says nothing."""
    frames = []
    for number, pts in enumerate(times):
        frame = av.VideoFrame.from_ndarray(np.full((8, 8), (levels or [0] * 99)[number], np.uint8), format="gray")
        frame.pts, frame.duration = pts, held
        frames.append(frame)
    monkeypatch.setattr(pictures, "decode_video", lambda *_, **__: iter(frames))
    stream: Any = SimpleNamespace(average_rate=Fraction(rate), time_base=Fraction(1, rate))
    container: Any = SimpleNamespace(duration=length * av.time_base, start_time=0)
    findings = Findings()
    found = [(round(p.time, 6), round(p.until, 6), p.last) for p in shown_pictures(container, stream, findings, **keys)]
    return found, findings


@pytest.mark.parametrize(
    ("times", "expected", "lost", "frozen"),
    [
        ([0, 1, 2], [(0, 0.1), (0.1, 0.2), (0.2, 0.3)], 0, 0.0),
        ([5, None, None], [(0.5, 0.6), (0.6, 0.7), (0.7, 0.8)], 0, 0.0), ([None, 3], [(0, 0.3), (0.3, 0.4)], 0, 0.0),
        ([0, 2, 1, 3], [(0, 0.2), (0.2, 0.2), (0.2, 0.3), (0.3, 0.4)], 0, 0.0),  # back a little: it follows at once
        ([20, 10, 21], [(2, 2), (2, 2.1), (2.1, 2.2)], 0, 0.0), ([20, 9, 21], [(2, 2.1), (2.1, 2.2)], 1, 0.0),  # by more than a second: lost
        ([0, 10], [(0, 1), (1, 1.1)], 0, 0.0), ([0, 11], [(0, 1.1), (1.1, 1.2)], 0, 1.0), ([0, 11, 13, 33], [(0, 1.1), (1.1, 1.3), (1.3, 3.3), (3.3, 3.4)], 0, 2.9),
        ([], [], 0, 0.0),
    ],
)  # fmt: skip
def test_from_when_until_when_a_picture_is_shown(monkeypatch, times, expected, lost, frozen) -> None:
    found, findings = shown(monkeypatch, times)
    assert [(begin, end) for begin, end, _ in found] == expected
    assert [last for *_, last in found] == [False] * (len(found) - 1) + [True] * bool(found)
    assert (findings.lost_frames, findings.frames) == (lost, len(expected)) and findings.frozen_s == pytest.approx(
        frozen
    )


def test_a_slow_rate_stands_still_longer_and_the_last_picture_is_held(monkeypatch) -> None:
    for ticks, frozen in ((3, 0.0), (4, 3.0)):
        assert shown(monkeypatch, [0, ticks], rate=1)[1].frozen_s == frozen
    assert shown(monkeypatch, [0, 1], held=4)[0][-1] == (0.1, 0.5, True)
    # An only picture is shown to the end of the container, from its own beginning on, or as long as it says.
    assert shown(monkeypatch, [5], length=3)[0] == [(0.5, 3.0, True)]
    assert shown(monkeypatch, [5], held=40, length=3)[0] == [(0.5, 4.5, True)]
    assert shown(monkeypatch, [5, 6], length=3)[0][-1] == (0.6, 0.7, True)
    assert shown(monkeypatch, [5], held=-40)[0] == [(0.5, 0.6, True)]
    passed = iter([2, 0, 1])
    sparing: Any = SimpleNamespace(passed=lambda _: next(passed))
    assert shown(monkeypatch, [0, 1, 2], sparing=sparing)[1].frames == 6


def test_a_picture_moves_by_more_than_coding_changes_it(monkeypatch) -> None:
    for levels, moved in (([9, 9, 9], False), ([9, 15, 3], False), ([9, 9, 16], True), ([9, 2, 9], True)):
        assert shown(monkeypatch, [0, 1, 2], levels=levels)[1].moved is moved
    assert not same_picture(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8)) and same_picture(
        np.zeros((0, 0), np.uint8), np.zeros((0, 0), np.uint8)
    )


def test_frames_that_are_too_large_or_nothing(monkeypatch) -> None:
    monkeypatch.setattr(pictures.hardware, "check", lambda _: None)
    monkeypatch.setattr(pictures.hardware, "as_decoded", lambda frame: frame)

    def decoded(stated: tuple[int, int], *sizes: tuple[int, int]) -> int:
        frames = [SimpleNamespace(width=w, height=h) for w, h in sizes]
        monkeypatch.setattr(pictures, "decode", lambda *_, **__: iter(frames))
        context = SimpleNamespace(width=stated[0], height=stated[1], options={})
        return len(list(decode_video(None, SimpleNamespace(codec_context=context, thread_type=""), strict=False)))  # type: ignore[arg-type]

    assert decoded((8000, 5000), (8000, 5000), (0, 4), (4, 0), (1, 1)) == 2
    for stated, size in (((8001, 5000), (1, 1)), ((1, 1), (8001, 5000))):
        with pytest.raises(MediaError, match="its frames are 8001 x 5000"):
            decoded(stated, size)


def heard(
    monkeypatch, given: list[tuple[float | None, int]], latest: float = math.inf
) -> tuple[list[tuple[float, int, bool]], float]:
    """Sound of 100 samples a second; each chunk that is given holds ones."""
    monkeypatch.setattr(sound, "decode_audio", lambda *_, **__: iter([(t, np.ones(n, np.int16)) for t, n in given]))
    monkeypatch.setattr(sound, "stated_end", lambda *_: latest)
    findings = Findings()
    found = decode_audio_on_time(None, None, 100, findings=findings)  # type: ignore[arg-type]
    return [(round(t, 6), wave.size, bool(wave.any())) for t, wave in found], round(findings.silence_s, 6)


@pytest.mark.parametrize(
    ("given", "latest", "expected", "silence"),
    [
        ([(1.0, 100), (2.04, 50), (None, 10)], math.inf, [(1, 100, True), (2, 50, True), (2.5, 10, True)], 0),  # rounding is no hole
        ([(1.0, 100), (2.2, 50)], math.inf, [(1, 100, True), (2, 20, False), (2.2, 50, True)], 0.2), ([(1.0, 100), (0.5, 50), (3.0, 0), (2.5, 7)], math.inf, [(1, 100, True), (2, 50, True), (2.5, 50, False), (3, 7, True)], 0.5),
        ([(None, 100), (1.5, 1)], math.inf, [(0, 100, True), (1, 50, False), (1.5, 1, True)], 0.5), ([(math.nan, 100), (1.5, 1)], math.inf, [(0, 100, True), (1, 50, False), (1.5, 1, True)], 0.5),
        ([(0.0, 100), (11.0, 1)], 2.0, [(0, 100, True), (1, 1000, False), (11, 1, True)], 10), ([(0.0, 100), (11.5, 1)], 2.0, [(0, 100, True), (1, 1, True)], 0), ([(0.0, 100), (11.5, 1)], 11.5, [(0, 100, True), (1, 1000, False), (11, 50, False), (11.5, 1, True)], 10.5),
        ([(0.0, 100), (61.0, 1)], math.inf, [(0, 100, True), *((1 + 10 * k, 1000, False) for k in range(6)), (61, 1, True)], 60), ([(0.0, 100), (62.0, 1)], math.inf, [(0, 100, True), (1, 1, True)], 0),
        ([(0.0, 100), (62.0, 1)], 90.0, [(0, 100, True), *((1 + 10 * k, 1000, False) for k in range(6)), (61, 100, False), (62, 1, True)], 61),
    ],
)  # fmt: skip
def test_holes_between_sounds_are_silent(monkeypatch, given, latest, expected, silence) -> None:
    assert heard(monkeypatch, given, latest) == (expected, silence)


def stream(duration: int | None, base: Fraction | None = Fraction(1, 10), start: int | None = 0) -> Any:
    return SimpleNamespace(duration=duration, time_base=base, start_time=start, type="audio")


def test_usual_layouts() -> None:
    assert [usual_layout(av.AudioLayout(name)) for name in ("mono", "stereo", "5.1", "7.1")] == [
        "mono",
        "stereo",
        "5.1",
        "7.1",
    ]


def test_the_end_that_a_container_states() -> None:
    """With a second of grace; the later of what the container and its stream say."""
    file: Any = SimpleNamespace(duration=5 * av.time_base, start_time=2 * av.time_base)
    assert stated_end(file, stream(None)) == 8.0
    assert (
        stated_end(file, stream(None), Joins(shifts=(0.0, 1.0))) == math.inf
        and stated_end(file, stream(None), Joins()) == 8.0
    )
    nothing: Any = SimpleNamespace(duration=None, start_time=None)
    assert stated_end(nothing, stream(None)) == math.inf
    assert stated_end(nothing, stream(40, start=10)) == 6.0
