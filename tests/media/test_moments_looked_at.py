"""Which frames may be left out, on packets that say nothing but their times; and the energies of two channels."""

from __future__ import annotations

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from avzsl.media.findings import Findings
from avzsl.media.sound import _weigh
from avzsl.media.sparing import Sparing


def packet(pts: int | None, base: Fraction | None = Fraction(1, 25)) -> Any:
    return SimpleNamespace(pts=pts, time_base=base)


def sparing(count: int, zero: float | None = 0.0, moved: bool = True, lost: int = 0) -> Sparing:
    made = Sparing(count, Findings(moved=moved, lost_frames=lost))
    made.zero = zero
    return made


def needed(one: Sparing, times: list[Any], rate: int = 25) -> list[int]:
    return [t for t in times if t is not None and not one._not_needed(packet(t, Fraction(1, rate)), times)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "zero", "rate", "looked_at"),
    [
        (2, 0.0, 25, [6, 18, 31, 43]),  # moments 0.25, 0.75, 1.25, 1.75
        (1, 0.0, 25, [4, 12, 20, 29, 37, 45]),  # as of three: 1/6, 1/2, 5/6 ...
        (2, 1.0, 25, [6, 18, 31, 43]), (2, 0.1, 25, [8, 21, 33, 46]),  # 0.35, 0.85, 1.35, 1.85
        (5, 0.0, 10, [*range(20)]),  # on the border of two frames either may be on show
        (3, 0.0, 10, [1, 4, 5, 8, 11, 14, 15, 18]),
    ],
)  # fmt: skip
def test_the_middle_of_equal_parts_of_a_second_is_looked_at(count, zero, rate, looked_at) -> None:
    times = list(range(2 * rate))
    # Of the last nobody knows how long it is on show.
    assert needed(sparing(count, zero), times, rate) == sorted({*looked_at, times[-1]})
    assert needed(sparing(count, zero), times[::-1], rate) == sorted({*looked_at, times[-1]}, reverse=True)


def test_where_every_frame_is_decoded() -> None:
    times = list(range(50))
    for one in (sparing(2, zero=None), sparing(2, moved=False), sparing(2, lost=1)):
        assert needed(one, times) == times
    one = sparing(2)
    assert not one._not_needed(packet(3, None), times) and not one._not_needed(packet(None), times)
    assert one._not_needed(packet(3), times) and not one._not_needed(packet(3), [*times, None])
    for last, even in ((13, True), (14, True), (15, False), (10, False)):  # steps of 2 and then 3, 4, 5, 0
        assert one._not_needed(packet(2), [0, 2, 4, 8, 10, last]) is even


def test_frames_that_were_left_out_are_counted_once() -> None:
    one = sparing(2)
    one._spared = {3, 5, 9}
    assert [one.passed(pts) for pts in (None, 3, 5, 8, 9, 20)] == [0, 0, 0, 0, 0, 0] and one._spared == set()
    one._spared = {3, 5, 9}
    assert one.passed(5) == 1 and one._spared == {9}
    assert one.passed(8) == 0 and one.passed(10) == 1 and one.passed(11) == 0


@pytest.mark.parametrize(
    ("codec", "kind", "spares"), [("h264", "matroska,webm", True), ("hevc", "mpegts", True), ("mpeg4", "mpegts", False), ("h264", "avi", False)]
)  # fmt: skip
def test_the_decoder_is_told_before_each_packet(codec, kind, spares) -> None:
    context = SimpleNamespace(name=codec, skip_frame="as it was")
    stream: Any = SimpleNamespace(codec_context=context, container=SimpleNamespace(format=SimpleNamespace(name=kind)))
    one, told, given = sparing(2), [], [packet(pts) for pts in range(100)]
    for number, passed in enumerate(one.packets(iter(given), stream)):
        assert passed is given[number]
        told.append(context.skip_frame)
    assert len(told) == 100
    if spares:
        spared = {k for k in range(60) if k not in (6, 18, 31, 43, 56)}
        assert {k for k, said in enumerate(told) if said == "NONREF"} == one._spared == spared
        assert told[6] == "DEFAULT" and set(told[60:]) == {"DEFAULT"}
    else:
        assert set(told) == {"as it was"} and not one._spared


def frame(values: np.ndarray, kind: str, layout: str) -> av.AudioFrame:
    made = av.AudioFrame.from_ndarray(values, format=kind, layout=layout)
    made.sample_rate = 16000
    return made


def test_energies_of_two_channels() -> None:
    left, right = np.array([1, 2, 3]), np.array([-1, 0, 2])
    expected = float(((left + right) ** 2).sum()), float(((left - right) ** 2).sum())
    for made in (
        frame(np.stack([left, right]).astype(np.float32), "fltp", "stereo"), frame(np.stack([left, right], 1).reshape(1, -1).astype(np.int16), "s16", "stereo"),
    ):  # fmt: skip
        findings = Findings()
        for times in (1, 2):
            _weigh(made, findings)
            assert (findings.mean_energy, findings.difference_energy) == (times * expected[0], times * expected[1])
    findings = Findings()
    _weigh(frame(np.ones((1, 4), np.float32), "fltp", "mono"), findings)
    _weigh(frame(np.ones((3, 4), np.float32), "fltp", "3.0"), findings)
    _weigh(frame(np.ones((1, 8), np.uint8), "u8", "stereo"), findings)
    assert (findings.mean_energy, findings.difference_energy) == (0.0, 0.0)
