"""Progress of long work: a bar on a terminal, plain lines with a rate elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

logger = logging.getLogger(__name__)

# Seconds between plain lines: a log of a ten-hour job stays readable.
PLAIN_INTERVAL = 10.0


# Items a second below which a rate reads better as seconds an item.
SLOW = 0.1


def pace(rate: float) -> str:
    """Return a rate for people: 12.3/s, or 45.0 s each where it is below a tenth of one a second."""
    if rate <= 0:
        return "none yet"
    return f"{rate:.1f}/s" if rate >= SLOW else f"{1 / rate:.1f} s each"


class Ticker:
    """Counts finished items of a known total and says how fast it goes."""

    def __init__(self, label: str, total: int, unit: str, bar: Progress | None) -> None:
        self.label, self.total, self.unit, self.done = label, total, unit, 0
        self._bar = bar
        self._task = bar.add_task(label, total=total) if bar is not None else None
        self._started = self._said = time.monotonic()

    def expect(self, total: int) -> None:
        """Take another total, where it is known only now."""
        if total != self.total:
            self.total = total
            if self._bar is not None and self._task is not None:
                self._bar.update(self._task, total=total)

    def advance(self, items: int = 1) -> None:
        """Count `items` more as done."""
        self.done += items
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, items)
            return
        now = time.monotonic()
        if now - self._said >= PLAIN_INTERVAL and self.done < self.total:
            self._said = now
            self._say(now)

    def _say(self, now: float) -> None:
        seconds = max(now - self._started, 1e-9)
        rate = self.done / seconds
        left = (self.total - self.done) / rate if rate else float("inf")
        ending = f", about {left:.0f} s left" if self.done < self.total else f" in {seconds:.1f} s"
        logger.info("%s: %d of %d %s, %s%s", self.label, self.done, self.total, self.unit, pace(rate), ending)

    def finish(self) -> None:
        """Say the final count where no bar shows it."""
        if self._bar is None:
            self._say(time.monotonic())


@contextmanager
def progress(label: str, total: int, unit: str = "clips") -> Iterator[Ticker]:
    """Yield a `Ticker` for `total` items; `label` says what is being done."""
    if sys.stderr.isatty():
        # Here: a log needs no bar, and decoding processes and benchmarks on a bare machine do without the package.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(stderr=True), transient=False) as bar:
            yield Ticker(label, total, unit, bar)
    else:
        ticker = Ticker(label, total, unit, None)
        yield ticker
        ticker.finish()
