"""One pace for all processes of a machine: budget, parallel requests, cool-down, circuit breaker.

What is shared is a small JSON file a source, changed under a lock file; the kernel frees locks of killed
processes, so a kill can neither lose the budget nor block it. Wall-clock time is used because the state must
outlive a reboot.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from avzsl.acquisition.errors import ClipError, StoppedError
from avzsl.config.sources import PaceConfig
from avzsl.contracts.hashing import safe_name
from avzsl.runtime.locks import waiting

logger = logging.getLogger(__name__)

# Failures that mean "you, not this video": everybody pauses.
COOLING = frozenset({"rate_limited", "sign_in_required"})
LONGEST_COOL_DOWN = 6 * 3600.0
# How long a tripped breaker stays open: the other shards of a run end at once, a run started later tries again.
OPEN_S = 600.0
_POLL = 0.02
# Failures of the file, not of the asking: the site did its part.
_SERVED = frozenset(
    {"corrupt", "no_audio_stream", "no_video_stream", "shorter_than_segment", "too_large", "refused_by_policy"}
)
# A video that is gone is ordinary; only very many in a row mean that the site answers nobody any more.
_GONE_WEIGHT = 0.2


@dataclass
class State:
    """What all processes know of one source."""

    next_at: float = 0.0  # the earliest time of the next request
    cool_until: float = 0.0
    cool_downs: int = 0  # in a row, without a success between
    failures: float = 0.0  # in a row
    open_until: float = 0.0  # the breaker
    reason: str = ""


class Pace:
    """The pace of one source; `key` names its budget. Safe for threads and processes."""

    def __init__(self, state: Path, key: str, config: PaceConfig, stop: threading.Event | None = None) -> None:
        self._folder = state / "pace"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._stem = safe_name(key)
        self._key = key
        self._config = config
        self._stop = stop or threading.Event()

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """Wait for leave to make one request, hold one of the parallel places meanwhile, and note how it ended.

        Raises StoppedError when the breaker is open, or becomes open while waiting.
        """
        with self._place():
            self._wait_for_turn()
            try:
                yield
            except ClipError as failure:
                if failure.status in _SERVED:
                    self.succeeded()
                else:
                    self.failed(failure)
                raise
            self.succeeded()

    def turn(self) -> None:
        """Wait for leave to make one more request inside a `request` block."""
        self._wait_for_turn()

    def succeeded(self) -> None:
        """Note that a request brought what was asked for."""
        with self._state() as state:
            state.failures = state.cool_downs = 0
            state.reason = ""

    def failed(self, failure: ClipError) -> None:
        """Note a failed request; too many in a row open the breaker, some kinds start a cool-down."""
        now = time.time()
        with self._state() as state:
            state.failures += _GONE_WEIGHT if failure.permanent else 1
            # Requests that were under way together see the same wall: it counts once.
            if failure.status in COOLING and now >= state.cool_until:
                pause = min(LONGEST_COOL_DOWN, self._config.cool_down_s * 2**state.cool_downs)
                if failure.retry_after_s is not None:
                    pause = max(pause, min(failure.retry_after_s, LONGEST_COOL_DOWN))
                state.cool_downs += 1
                state.cool_until = now + pause
                clock = time.strftime("%H:%M:%S", time.localtime(state.cool_until))
                logger.warning("%s: %s; everybody pauses until %s", self._key, failure.error, clock)
            if state.cool_downs > self._config.cool_downs or state.failures >= self._config.give_up_after:
                state.open_until = now + OPEN_S
                state.reason = (
                    f"{state.failures:.0f} requests in a row failed, the last as {failure.status} ({failure.error})"
                )
                state.failures = state.cool_downs = 0

    def look(self) -> State:
        """Return the present state."""
        with self._state() as state:
            return state

    def _wait_for_turn(self) -> None:
        while True:
            now = time.time()
            with self._state() as state:
                if state.open_until > now:
                    raise StoppedError(
                        f"{self._key}: nothing succeeds any more: {state.reason}. The run ends here and loses nothing; "
                        "see `avzsl doctor`, then run again later (or `avzsl retry --now`)"
                    )
                pause = state.cool_until - now
                if pause <= 0:
                    at = max(now, state.next_at)
                    state.next_at = at + self._interval()
                    pause = at - now
                    reserved = True
                else:
                    reserved = False
            self._sleep(pause if reserved else min(pause, 5.0))
            if reserved:
                return

    def _interval(self) -> float:
        budget = 3600.0 / self._config.requests_per_hour if self._config.requests_per_hour else 0.0
        return max(budget, random.uniform(*self._config.sleep_s))

    def _sleep(self, seconds: float) -> None:
        if self._stop.is_set() or (seconds > 0 and self._stop.wait(seconds)):
            raise StoppedError(f"{self._key}: the run is ending")

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """Hold one of the `parallel` lock files."""
        numbers = list(range(self._config.parallel))
        random.shuffle(numbers)
        while True:
            for number in numbers:
                handle = os.open(
                    self._folder / f"{self._stem}.place-{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
                )
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(handle)
                    continue
                try:
                    yield
                finally:
                    os.close(handle)
                return
            self._sleep(_POLL)

    def _state(self) -> contextlib.AbstractContextManager[State]:
        return _locked(self._folder / f"{self._stem}.json")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[State]:
    """Yield the shared state under its lock and store it again if it was changed."""
    with waiting(path.with_suffix(".lock")):
        state = _read(path)
        before = asdict(state)
        try:
            yield state
        finally:
            if asdict(state) != before:
                temporary = path.with_suffix(".new")
                temporary.write_text(json.dumps(asdict(state)))
                temporary.replace(path)


def _read(path: Path) -> State:
    try:
        values = json.loads(path.read_text())
        state = State(**{field.name: type(getattr(State, field.name))(values[field.name]) for field in fields(State)})
    except (OSError, ValueError, KeyError, TypeError):
        return State()
    # A clock that was set back must not stop the machine for days.
    latest = time.time() + LONGEST_COOL_DOWN + 60
    if max(state.next_at, state.cool_until, state.open_until) > latest:
        return State()
    return state


def reset_all(state: Path) -> None:
    """Forget the cool-downs and breakers of every source of the machine; the budgets stay."""
    for path in (state / "pace").glob("*.json"):
        with _locked(path) as shared:
            shared.cool_until = shared.open_until = 0.0
            shared.failures = shared.cool_downs = 0
            shared.reason = ""
