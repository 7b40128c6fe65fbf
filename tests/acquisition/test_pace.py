"""One budget for all processes."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from avzsl.acquisition import StoppedError
from avzsl.acquisition.errors import ClipError
from avzsl.acquisition.pace import Pace, reset_all
from avzsl.config.sources import PaceConfig


def _ask(state: Path, config: PaceConfig, requests: int, log: Path, hold_s: float) -> None:
    pace = Pace(state, "site", config)
    for _ in range(requests):
        with pace.request():
            began = time.time()
            time.sleep(hold_s)
            with log.open("a") as stream:
                stream.write(f"{began} {time.time()}\n")


def _run(tmp_path, config, processes, requests, hold_s=0.0):
    log = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    running = [context.Process(target=_ask, args=(tmp_path, config, requests, log, hold_s)) for _ in range(processes)]
    for process in running:
        process.start()
    for process in running:
        process.join(120)
        assert process.exitcode == 0
    return sorted(tuple(map(float, line.split())) for line in log.read_text().splitlines())


def test_the_budget_is_shared(tmp_path):
    config = PaceConfig(requests_per_hour=3600 * 20, parallel=8)
    spans = _run(tmp_path, config, processes=3, requests=10)
    starts = [start for start, _ in spans]
    assert len(starts) == 30
    # 20 a second: in no window of one second more than 20, the one on its edge, and one of each process that was held up
    # between its turn and its note of the time.
    assert max(sum(1 for s in starts if t <= s < t + 1) for t in starts) <= 21 + 3
    assert starts[-1] - starts[0] >= 29 / 20 * 0.75


def test_parallel_requests_are_counted_over_processes(tmp_path):
    spans = _run(tmp_path, PaceConfig(parallel=2), processes=4, requests=3, hold_s=0.1)
    moments = [(t, 1) for t, _ in spans] + [(t, -1) for _, t in spans]
    level = highest = 0
    for _, step in sorted(moments, key=lambda m: (m[0], m[1])):
        level += step
        highest = max(highest, level)
    assert highest == 2


def _hold(state: Path) -> None:
    with Pace(state, "site", PaceConfig(parallel=1)).request():
        (state / "held").touch()
        time.sleep(60)


def test_a_killed_process_gives_its_place_back(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_hold, args=(tmp_path,))
    process.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    started = time.monotonic()
    with Pace(tmp_path, "site", PaceConfig(parallel=1)).request():
        assert time.monotonic() - started < 50, "the dead one would have held it for a minute"


def test_sleep_is_random_between_its_limits(tmp_path):
    pace = Pace(tmp_path, "site", PaceConfig(sleep_s=(0.05, 0.1)))
    times = []
    for _ in range(6):
        with pace.request():
            times.append(time.time())
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert min(gaps) >= 0.049 and min(gaps) < 0.5 and max(gaps) - min(gaps) > 0.001


def _fail(pace: Pace, status: str, retry_after_s: float | None = None) -> None:
    with pytest.raises(ClipError), pace.request():
        raise ClipError(status, "said no", retry_after_s)


def _cools(pace: Pace, other: Pace, expected: float, status: str, retry_after_s: float | None = None) -> None:
    """A failure starts a cool-down of `expected` seconds at some moment of the failed request."""
    waited = max(pace.look().cool_until, time.time())  # a request waits for the last cool-down
    _fail(pace, status, retry_after_s)
    assert waited + expected - 0.01 <= other.look().cool_until <= time.time() + expected


def test_cool_downs_grow_and_end_with_a_success(tmp_path):
    pace = Pace(tmp_path, "site", PaceConfig(cool_down_s=0.2, cool_downs=3))
    other = Pace(tmp_path, "site", PaceConfig(cool_down_s=0.2, cool_downs=3))  # as another process sees it
    for expected in (0.2, 0.4, 0.8):
        _cools(pace, other, expected, "sign_in_required")
    with other.request():
        pass
    assert pace.look().cool_downs == 0
    _cools(pace, other, 0.5, "rate_limited", 0.5)


def test_cool_downs_without_end_open_the_breaker(tmp_path):
    pace = Pace(tmp_path, "site", PaceConfig(cool_down_s=0.01, cool_downs=2))
    for _ in range(3):
        _fail(pace, "sign_in_required")
    with pytest.raises(StoppedError, match="nothing succeeds any more: 3 requests in a row failed"), pace.request():
        pass


def test_a_video_that_is_gone_weighs_little_and_a_broken_file_nothing(tmp_path):
    pace = Pace(tmp_path, "site", PaceConfig(give_up_after=4))
    for _ in range(19):
        _fail(pace, "removed")
    assert pace.look().failures == pytest.approx(3.8)
    _fail(pace, "corrupt")  # the site did its part
    assert pace.look().failures == 0
    for _ in range(4):
        _fail(pace, "network")
    with pytest.raises(StoppedError), pace.request():
        pass


@pytest.mark.parametrize("text", ["", "{", "[]", '{"next_at": "x"}', '{"next_at": 1e30}'])
def test_a_spoilt_state_file_starts_afresh(tmp_path, text):
    pace = Pace(tmp_path, "site", PaceConfig())
    with pace.request():
        pass
    for path in (tmp_path / "pace").glob("*.json"):
        path.write_text(text)
    with pace.request():
        pass


def test_a_clock_that_was_set_back_does_not_stop_the_machine(tmp_path, monkeypatch):
    pace = Pace(tmp_path, "site", PaceConfig())
    with monkeypatch.context() as patch:
        patch.setattr("avzsl.acquisition.pace.time.time", lambda: 4e9)
        with pace.request():
            pass
    started = time.monotonic()
    with pace.request():
        assert time.monotonic() - started < 30


def test_no_cool_down_is_longer_than_six_hours(tmp_path):
    pace = Pace(tmp_path, "site", PaceConfig(cool_down_s=1))
    _fail(pace, "rate_limited", retry_after_s=1e6)
    assert pace.look().cool_until - time.time() == pytest.approx(6 * 3600, abs=60)


def test_who_waits_for_a_cool_down_looks_again_after_five_seconds(tmp_path, monkeypatch):
    class WokenError(Exception):
        pass

    def nap(seconds):
        raise WokenError(seconds)

    pace = Pace(tmp_path, "site", PaceConfig(cool_down_s=1))
    _fail(pace, "rate_limited", retry_after_s=600)
    monkeypatch.setattr(pace, "_sleep", nap)
    with pytest.raises(WokenError) as woken, pace.request():
        pass
    assert woken.value.args == (5.0,)


def test_a_reset_forgets_failures_and_cool_downs(tmp_path):
    pace = Pace(tmp_path, "site", PaceConfig(cool_down_s=600, give_up_after=1))
    _fail(pace, "rate_limited")
    reset_all(tmp_path)
    state = pace.look()
    assert (state.failures, state.cool_downs, state.cool_until, state.open_until, state.reason) == (0, 0, 0, 0, "")
