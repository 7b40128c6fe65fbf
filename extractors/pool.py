"""Decoding processes beside the networks: clips in, windows out, in the order of the clips."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.config.features import FeaturesConfig
from avzsl.media.process import Clock, DecodingProcess, DiedError, LateError
from avzsl.media.ring import Ring
from extractors.base import ClipInfo, Feed, Window

logger = logging.getLogger(__name__)

# Ends of a clip that are the end of its process.
FATAL = frozenset({"decoder_crash", "time_limit"})
# Windows that a clip may have waiting for the networks: with them, memory stays the same however long the clip is.
WINDOWS_AHEAD = 8


@dataclass(frozen=True)
class End:
    """How reading a clip ended: a status of FEATURE_STATUS, its reason, and what was read."""

    status: str
    reason: str | None
    info: ClipInfo


@dataclass(frozen=True)
class Hardware:
    """The number of the GPU that decodes too, and how many of the processes use its decoder."""

    card: int
    processes: int


class DecodePool:
    """`workers` processes that read clips; use as a context manager, then iterate `clips`.

    Clips and windows come out in a fixed order whatever the timing, so that two runs make the same batches. A process
    that dies or passes the time limit costs the clip it was at; a new one takes its place. With a `feed` windows are raw
    and are on its device when they come out. With `hardware` some processes let a GPU decode: the pictures are the same, so
    that it does not matter which reads a clip. A clip whose process ends there is read on by the CPU.
    """

    def __init__(
        self, features: FeaturesConfig, workers: int, feed: Feed | None = None, hardware: Hardware | None = None
    ) -> None:
        self._features, self._feed, self._hardware = features, feed, hardware
        self._workers = max(workers, 1)
        self._stop = threading.Event()
        self._running: set[_Process] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        with self._lock:
            for process in self._running:
                process.kill()
        for thread in self._threads:
            thread.join(timeout=10)

    def clips(self, paths: Sequence[Path]) -> Iterator[Iterator[Window | End]]:
        """Yield for every path, in order, an iterator over its windows that ends with its `End`."""
        queues: list[queue.Queue[Window | End | BaseException]] = [queue.Queue(WINDOWS_AHEAD) for _ in paths]
        todo = iter(range(len(paths)))
        # Clips that may be begun before the first of them has been taken away.
        ahead = threading.Semaphore(4 * self._workers)
        self._threads = [
            threading.Thread(
                target=self._serve, args=(paths, queues, todo, ahead, self._card(n)), daemon=True, name=f"decode-{n}"
            )
            for n in range(min(self._workers, len(paths)))
        ]
        for thread in self._threads:
            thread.start()
        for place in range(len(paths)):
            yield self._take(queues[place])
            queues[place] = queue.Queue(1)  # free what it held
            ahead.release()

    def _card(self, number: int) -> int | None:
        """Return the GPU that a process decodes on, None: the CPU."""
        return self._hardware.card if self._hardware is not None and number < self._hardware.processes else None

    def _take(self, source: queue.Queue[Window | End | BaseException]) -> Iterator[Window | End]:
        while True:
            item = source.get()
            if isinstance(item, BaseException):
                raise item
            yield item
            if isinstance(item, End):
                return

    def _serve(
        self,
        paths: Sequence[Path],
        queues: list[queue.Queue[Window | End | BaseException]],
        todo: Iterator[int],
        ahead: threading.Semaphore,
        card: int | None,
    ) -> None:
        """Hand clips to one process until none is left; replace the process when it dies, by one on the CPU."""
        process: _Process | None = None
        place = None
        try:
            while not self._stop.is_set():
                while not ahead.acquire(timeout=0.2):
                    if self._stop.is_set():
                        return
                with self._lock:
                    place = next(todo, None)
                    if place is None:
                        return
                given, refused, over = 0, None, False
                while not over:
                    process = used = process or self._start(card)
                    for item in used.read(paths[place], given, refused):
                        dead = isinstance(item, End) and item.status in FATAL
                        over = isinstance(item, End) and (not dead or card is None)
                        if over or not dead:
                            self._put(queues[place], item)
                            given += 1
                        if isinstance(item, End) and dead:
                            self._retire(used)
                            process, refused, card = None, f"under the GPU's decoder {item.reason}", None
        except BaseException as error:
            if place is not None and not self._stop.is_set():
                self._put(queues[place], error)
        finally:
            if process is not None:
                self._retire(process)

    def _put(self, target: queue.Queue[Window | End | BaseException], item: Window | End | BaseException) -> None:
        while not self._stop.is_set():
            try:
                target.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def _start(self, card: int | None) -> _Process:
        process = _Process(self._features, self._feed, card)
        with self._lock:
            self._running.add(process)
            if self._stop.is_set():
                process.kill()
        return process

    def _retire(self, process: _Process) -> None:
        with self._lock:
            self._running.discard(process)
        process.kill()
        process.forget()


class _Process:
    """One decoding process that reads clips."""

    def __init__(self, features: FeaturesConfig, feed: Feed | None, card: int | None) -> None:
        self._limit_s = features.time_limit_s
        self._feed = feed
        self._ring = Ring.make()
        try:
            setup: dict[str, Any] = {"features": features.model_dump(), "raw": feed is not None, "card": card}
            setup["ring"] = self._ring.describe()
            self._process = DecodingProcess("extractors.worker", setup, [self._ring.file])
        finally:
            self._ring.close()
        if feed is not None:
            feed.pin(self._ring.memory)
        self.kill = self._process.kill

    def forget(self) -> None:
        """Let go of the memory of a process that was killed."""
        if self._feed is not None:
            self._feed.unpin(self._ring.memory)

    def read(self, path: Path, skip: int, refused: str | None) -> Iterator[Window | End]:
        """Yield the windows of a file but the first `skip`, and then its `End`; `refused`: why no GPU decodes it."""
        clock = Clock(self._limit_s)
        reached = 0.0
        try:
            self._process.send({"path": str(path), "skip": skip, "refused": refused})
            while True:
                header, arrays = self._process.receive(clock)
                if header["kind"] == "window":
                    # A long clip may take long: what it has shown so far is added to its time.
                    clock.left += max(header["end"] - reached, 0.0)
                    reached = max(header["end"], reached)
                    yield Window.of(header["start"], header["end"], self._taken(header, arrays))
                    continue
                info = ClipInfo(**header["info"])
                yield End(header.get("status", "ok"), header.get("reason", info.note), info)
                return
        except LateError:
            yield End("time_limit", f"decoding took more than {self._limit_s + reached:g} s", ClipInfo())
        except (DiedError, BrokenPipeError):
            reason = f"the decoding process died on it ({self._process.death()})"
            yield End("decoder_crash", reason, ClipInfo())

    def _taken(self, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
        """Return a window's arrays away from the ring, and hand its slot back."""
        slot = header.get("slot")
        if slot is not None:
            arrays = self._ring.views(header["places"])
        taken = {name: a.copy() for name, a in arrays.items()} if self._feed is None else self._feed.upload(arrays)
        if slot is not None:
            self._process.send({"slot": slot})
        return taken
