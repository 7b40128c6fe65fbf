"""Seconds of a clip and windows of the released plan to the sample and the frame: streams by hand, no decoder."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from avzsl.media.pictures import Picture
from extractors.base import ClipError, ClipInfo
from extractors.seconds import _Picture, _Sound
from extractors.selavi import released
from extractors.selavi.plan import PlannedWindow, released_frame_index
from extractors.selavi.released import _frames, _Open, _show, _slices

RATE = 10


def sound(count: int, piece: int, at: float = 0.0) -> tuple[_Sound, ClipInfo]:
    """Samples that count themselves, in pieces."""
    wave, info = np.arange(count, dtype=np.int16), ClipInfo()
    pieces = iter([(at + k / RATE, wave[k : k + piece]) for k in range(0, count, piece)])
    made = _Sound(pieces, info, RATE)
    assert made.begin() == at
    return made, info


@pytest.mark.parametrize("piece", [1, 3, 7, 10, 64, 1000])
@pytest.mark.parametrize(
    ("at", "asked", "first"),
    [
        (0.0, [0, 1, 2], [0, 10, 20]),
        (0.0, [0.22, 1.22], [2, 12]),
        (2.0, [2.5, 3.5, 4.5], [5, 15, 25]),  # the other stream begins later
        (0.0, [30.0, 31.0], [300, 310]),  # far ahead: what lies between is let go
        (1.0, [5.04, 30.04], [40, 290]),
    ],
)
def test_samples_are_those_of_the_second(piece, at, asked, first) -> None:
    made, _ = sound(400, piece, at)
    for time, begin in zip(asked, first, strict=True):
        assert made.take(time).tolist() == list(range(begin, begin + RATE)), time


@pytest.mark.parametrize("piece", [1, 4, 100])
def test_the_last_second_has_what_is_left_and_every_sample_is_counted(piece) -> None:
    made, info = sound(26, piece)
    assert [len(made.take(float(k))) for k in range(4)] == [10, 10, 6, 0]
    assert info.audio_samples == 26


def test_little_is_held_on_a_long_way() -> None:
    made, _ = sound(5000, 5)
    made.take(450.0)
    assert made._held.size <= 10


def test_no_sound_and_no_picture_at_all() -> None:
    with pytest.raises(ClipError, match="its sound cannot be decoded"):
        _Sound(iter(()), ClipInfo(), RATE).begin()
    with pytest.raises(ClipError, match="its picture cannot be decoded"):
        _Picture(iter(()), 4, range(4), lambda frame: frame).begin()


def picture(times: list[float], end: float, count: int = 4) -> tuple[_Picture, list[int]]:
    converted: list[int] = []

    def convert(frame: Any) -> int:
        converted.append(frame)
        return frame

    ends = [*times[1:], end]
    shown = [Picture(k, t, u, k == len(times) - 1) for k, (t, u) in enumerate(zip(times, ends, strict=True))]  # type: ignore[arg-type]
    made = _Picture(iter(shown), count, range(count), convert)
    assert made.begin() == times[0]
    return made, converted


def test_frames_are_those_on_show_in_the_middle_of_each_part() -> None:
    # Middles of quarters: 0.125, 0.375, 0.625, 0.875.
    made, converted = picture([0.0, 0.125, 0.3, 0.7, 1.5], 2.0)
    assert made.take(0.0) == ([1, 2, 2, 3], 1.0)
    assert made.take(1.0) == ([3, 3, 4, 4], 1.0)
    assert converted == [1, 2, 3, 4], "each picture is converted once, and only where it is shown"


@pytest.mark.parametrize(
    ("end", "frames", "seconds"),
    [
        (1.0, None, 0.0),  # nothing of the second
        (0.9, None, -0.1),
        (1.125, [1, 1, 1, 1], 0.125),
        (1.4, [1, 1, 1, 1], 0.4),
        (1.875, [1, 1, 1, 1], 0.875),
        (2.0, [1, 1, 1, 1], 1.0),
        (5.0, [1, 1, 1, 1], 1.0),
    ],
)
def test_the_last_picture_stays_to_the_end_of_its_second(end, frames, seconds) -> None:
    made, _ = picture([0.0, 0.5], end)
    assert made.take(0.0)[0] == [0, 0, 1, 1]
    shown, covered = made.take(1.0)
    assert shown == frames and covered == pytest.approx(seconds)


def test_what_ends_inside_a_second_repeats_its_last_frame() -> None:
    made, _ = picture([0.0, 0.3], 0.5)
    assert made.take(0.0) == ([0, 1, 1, 1], 0.5)


@pytest.mark.parametrize("fps", [8.0, 25.0, 30.0, 59.94, 60.0])
def test_a_window_with_fewer_frames_shows_its_last_in_their_place(fps) -> None:
    index = released_frame_index(fps)
    for seen in range(1, int(index[-1]) + 4):
        kept = {k: k for k in index.tolist() if k < seen}
        window = _Open(0, 9, seen, dict(kept))
        asked: list[int] = []

        def convert(frame: int, asked: list[int] = asked) -> int:
            asked.append(frame)
            return frame

        assert _show(window, index, convert, seen - 1) == [min(k, seen - 1) for k in index.tolist()]  # type: ignore[arg-type]
        needed = seen <= index[-1] and seen - 1 not in kept
        assert asked == ([seen - 1] if needed else []), "what is not shown is not converted"
    for last, seen in ((None, 3), (5, 0)):
        with pytest.raises(ClipError, match="a window has no frame"):
            _show(_Open(0, 9, seen, {0: 0}), index, int, last)  # type: ignore[arg-type]


@pytest.mark.parametrize("fps", [5.0, 12.0, 30.0, 60.0])
@pytest.mark.parametrize("ticks", [1.0, 3.0, 10.5])
@pytest.mark.parametrize("ends_at", [1.0, 0.8, 0.55])
def test_frames_of_windows_that_overlap(monkeypatch, fps, ticks, ends_at) -> None:
    """A frame on either edge belongs to the window, and so does the first one behind it."""
    seconds = 5
    moments = [round(k * ticks) for k in range(int(seconds * fps * ends_at))]
    plan = [PlannedWindow(round(s * fps), round((s + 1) * fps), s) for s in (0.0, 0.8, 1.6, 2.0)]
    monkeypatch.setattr(released, "decode_video", lambda *_, **__: iter([SimpleNamespace(pts=t) for t in moments]))
    index, info = released_frame_index(fps), ClipInfo()
    got = _frames(None, None, plan, ticks, fps, info, lambda frame: frame.pts)  # type: ignore[arg-type]
    for window in plan:
        first, last = int(window.start_frame * ticks), int(window.end_frame * ticks)
        shown = [t for t in moments if first <= t <= last] + [t for t in moments if t > last][:1]
        if not shown:
            with pytest.raises(ClipError, match="a window has no frame"):
                next(got)
            return
        assert next(got) == [shown[min(k, len(shown) - 1)] for k in index.tolist()]
    assert next(got, None) is None
    assert info.frames == min(len(moments), sum(t <= int(plan[-1].end_frame * ticks) for t in moments) + 1)


@pytest.mark.parametrize("length", [0, 1, 30000, 44100, 70560, 100000, 132300])
@pytest.mark.parametrize("piece", [1000, 44100, 200000])
def test_slices_of_sound(length, piece) -> None:
    wave, info = np.arange(length) % 30011, ClipInfo()
    plan = [PlannedWindow(0, 0, s) for s in (0.0, 0.8, 1.6, 2.0)]
    pieces = iter([(None, wave[k : k + piece]) for k in range(0, length, piece)])
    got = _slices(pieces, plan, info)
    if length == 0:
        with pytest.raises(ClipError, match="its sound cannot be decoded"):
            next(got)
        return
    for window, samples in zip(plan, got, strict=True):
        begin = round(window.start_s * 44100)
        if begin + 44100 > length:
            begin = length - 44100
        assert np.array_equal(samples, wave[begin : begin + 44100])
    assert info.audio_samples == min(length, -(-(2 * 44100 + 44100) // piece) * piece)
