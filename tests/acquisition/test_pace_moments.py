"""The pace of one source to the second, with a clock that stands still until it is moved."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from avzsl.acquisition import StoppedError, pace
from avzsl.acquisition.errors import ClipError
from avzsl.acquisition.pace import LONGEST_COOL_DOWN, OPEN_S, Pace, State, reset_all
from avzsl.config.sources import PaceConfig

START = 1_000_000.0


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = START
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        assert len(self.slept) < 20, "sleeps without end"
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace.time, "time", lambda: clock.now)
    monkeypatch.setattr(Pace, "_sleep", lambda self, seconds: clock.sleep(seconds))
    return clock


@pytest.fixture
def made(tmp_path: Path, clock: Clock) -> Callable[..., Pace]:
    return lambda **keys: Pace(tmp_path, "site", PaceConfig(**keys))


def ask(one: Pace, status: str | None = None, retry_after_s: float | None = None) -> None:
    if status is None:
        with one.request():
            return
    with pytest.raises(ClipError), one.request():
        raise ClipError(status, "said no", retry_after_s)


def test_requests_of_an_hour_are_spread_evenly(made, clock) -> None:
    one = made(requests_per_hour=7200)
    for _ in range(4):
        ask(one)
    assert clock.slept == pytest.approx([0.0, 0.5, 0.5, 0.5])
    clock.now += 10.0  # a pause that nobody asked in is not made up for
    ask(one)
    ask(one)
    assert clock.slept[4:] == pytest.approx([0.0, 0.5])


def test_of_budget_and_random_pause_the_longer_counts(made, clock) -> None:
    one = made(requests_per_hour=3600, sleep_s=(0.25, 0.25))
    other = made(requests_per_hour=36000, sleep_s=(0.25, 0.25))
    assert (one._interval(), other._interval()) == (1.0, 0.25)
    assert made()._interval() == 0.0


def test_a_further_turn_costs_a_place_in_the_budget(made, clock) -> None:
    one = made(requests_per_hour=3600)
    with one.request():
        one.turn()
    ask(one)
    assert clock.slept == pytest.approx([0.0, 1.0, 1.0])


def test_a_cool_down_ends_to_the_second(made, clock) -> None:
    one = made(cool_down_s=12.0)
    ask(one, "rate_limited")
    assert one.look().cool_until == START + 12
    # Those under way together see the same wall: it counts once, until the second in which it ends.
    for after, counted in ((0.0, 1), (11.5, 1), (12.0, 2)):
        clock.now = START + after
        one.failed(ClipError("rate_limited", "said no"))
        assert one.look().cool_downs == counted
    assert one.look().cool_until == START + 12 + 24
    ask(one)
    assert clock.slept == pytest.approx([0.0, 5.0, 5.0, 5.0, 5.0, 4.0, 0.0])


def test_who_may_go_on_when_the_cool_down_ends_does_not_wait(made, clock) -> None:
    one = made(cool_down_s=12.0)
    one.failed(ClipError("sign_in_required", "said no"))
    clock.now += 12.0
    ask(one)
    assert clock.slept == [0.0]


@pytest.mark.parametrize(
    ("status", "own", "wanted", "pause"),
    [
        ("rate_limited", 10.0, None, 10.0),
        ("rate_limited", 10.0, 4.0, 10.0),  # the site's wish only lengthens
        ("rate_limited", 10.0, 40.0, 40.0),
        ("sign_in_required", 10.0, None, 10.0),
        ("rate_limited", 10.0, 7 * 3600.0, 6 * 3600.0),
        ("rate_limited", 9 * 3600.0, None, 6 * 3600.0),
        ("network", 10.0, 40.0, None),
        ("removed", 10.0, None, None),
    ],
)
def test_how_long_everybody_pauses(made, clock, status, own, wanted, pause) -> None:
    one = made(cool_down_s=own)
    ask(one, status, wanted)
    assert one.look().cool_until == (0.0 if pause is None else START + pause)


def test_the_breaker_opens_after_so_many_cool_downs_and_closes_again(made, clock) -> None:
    one = made(cool_down_s=1.0, cool_downs=2)
    for number in (1, 2):
        one.failed(ClipError("rate_limited", "said no"))
        assert (one.look().cool_downs, one.look().open_until) == (number, 0.0)
        clock.now += 100.0
    one.failed(ClipError("rate_limited", "said no"))
    state = one.look()
    assert (state.open_until, state.cool_downs, state.failures) == (clock.now + 600.0, 0, 0)
    assert state.reason == "3 requests in a row failed, the last as rate_limited (said no)"
    opened = clock.now
    clock.now = opened + OPEN_S - 0.5
    with pytest.raises(StoppedError, match="nothing succeeds any more: 3 requests"), one.request():
        pass
    clock.now = opened + OPEN_S
    ask(one)
    assert one.look().reason == ""


def test_the_breaker_counts_failures_in_a_row(made, clock) -> None:
    one = made(give_up_after=3)
    for status in ("network", "network", None, "network", "network"):
        ask(one, status)
    assert (one.look().failures, one.look().open_until) == (2, 0.0)
    ask(one, "network")
    assert (one.look().failures, one.look().open_until) == (0, START + OPEN_S)


@pytest.mark.parametrize(
    ("status", "weight"),
    [
        ("network", 1.0), ("removed", 0.2), ("private", 0.2), ("corrupt", 0.0), ("no_audio_stream", 0.0), ("no_video_stream", 0.0),
        ("shorter_than_segment", 0.0), ("too_large", 0.0), ("refused_by_policy", 0.0),
    ],
)  # fmt: skip
def test_what_a_failure_weighs(made, status, weight) -> None:
    one = made()
    ask(one, status)
    assert one.look().failures == weight


def test_a_state_of_the_far_future_is_forgotten_and_one_of_today_kept(made, tmp_path, clock) -> None:
    one = made()
    ask(one)
    (file,) = (tmp_path / "pace").glob("*.json")
    for field in ("next_at", "cool_until", "open_until"):
        for ahead, kept in ((LONGEST_COOL_DOWN, True), (LONGEST_COOL_DOWN + 120, False)):
            file.write_text(json.dumps(asdict(State(**{field: START + ahead, "failures": 2.0}))))
            assert one.look() == (State(**{field: START + ahead, "failures": 2.0}) if kept else State())


def test_a_reset_keeps_the_budget(made, tmp_path, clock) -> None:
    one = made(requests_per_hour=1, cool_down_s=60.0)
    ask(one, "rate_limited")
    reset_all(tmp_path)
    assert one.look() == State(next_at=START + 3600)


def test_a_state_that_is_the_same_is_not_written_again(made, tmp_path, clock) -> None:
    one = made()
    ask(one, "network")
    (file,) = (tmp_path / "pace").glob("*.json")
    file.chmod(0o400)
    before = file.stat()
    one.look()
    assert file.stat().st_ino == before.st_ino
    ask(one, "network")
    assert file.stat().st_ino != before.st_ino


def test_a_run_that_ends_waits_for_nothing(tmp_path) -> None:
    stop = threading.Event()
    one = Pace(tmp_path, "site", PaceConfig(), stop)
    ask(one)
    stop.set()
    with pytest.raises(StoppedError, match="the run is ending"), one.request():
        pass
