"""Bytes from the network: a whole file with resumption, or only the ranges that a decoder asks for."""

from __future__ import annotations

import bisect
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from avzsl.acquisition import network
from avzsl.acquisition.errors import ClipError
from avzsl.acquisition.policy import check_headers
from avzsl.config.sources import TransferConfig
from avzsl.runtime.download import BrokenError, TooLargeError, TooSlowError, receive, within

# Opens the address from one byte up to another (None: to the end); waits for its turn after the first request.
Opener = Callable[[int, int | None], Any]

_RESUMPTIONS = 5
# Bytes of the first range, which should hold the index, and of the others.
_FIRST, _NEXT = 1 << 19, 1 << 21


def check_answer(answer: Any, max_bytes: int, respect_opt_out: bool) -> int | None:
    """Return the size of the file behind an answer; raises ClipError if it is not to be had.

    refused_by_policy: the server opts out; corrupt: a web page where a video should be; too_large.
    """
    if respect_opt_out:
        check_headers(answer)
    kind = (answer.get_header("Content-Type") or "").split(";")[0].strip().lower()
    if kind in {"text/html", "application/xhtml+xml"}:
        raise ClipError("corrupt", f"the server sends a web page ({kind}) where the video should be")
    size = network.total_size(answer)
    if size is not None and size > max_bytes:
        raise ClipError("too_large", f"the server announces {size} bytes; media.max_bytes allows {max_bytes}")
    return size


class _Whole:
    """An answer that should bring the rest of a whole file, as `avzsl.runtime.download.receive` reads it."""

    def __init__(self, answer: Any, asked: int, max_bytes: int, respect_opt_out: bool) -> None:
        self._answer = answer
        try:
            self.size = check_answer(answer, max_bytes, respect_opt_out)
        except BaseException:
            answer.close()
            raise
        self.start = asked if answer.status == 206 else 0

    def read(self) -> bytes:
        try:
            return network.read(self._answer, network.CHUNK)
        except ClipError as failure:
            raise BrokenError(failure.error) from failure

    def close(self) -> None:
        self._answer.close()


def download(opener: Opener, out: Path, max_bytes: int, limits: TransferConfig, respect_opt_out: bool) -> bool:
    """Fetch a whole file to `out`, going on where a connection broke.

    Returns whether its length was confirmed by the server. Raises ClipError: network if the transfer cannot be
    completed or takes longer than `limits.limit_s`, too_large, or what `check_answer` says.
    """
    tries = 0

    def again(failure: BrokenError, done: int, grown: bool) -> None:
        nonlocal tries
        tries += 1
        if not done or tries > _RESUMPTIONS:
            raise failure

    out.unlink(missing_ok=True)
    try:
        return receive(
            lambda start: _Whole(opener(start, None), start, max_bytes, respect_opt_out),
            out, max_bytes=max_bytes, limit_s=limits.limit_s, again=again,
        )  # fmt: skip
    except TooLargeError as failure:
        raise ClipError("too_large", f"more than media.max_bytes = {max_bytes} bytes come") from failure
    except TooSlowError as failure:
        raise ClipError("network", f"the transfer {failure}") from failure
    except BrokenError as failure:
        raise ClipError("network", str(failure)) from failure


class RangeReader:
    """A file on a server, of which only what is asked for is fetched, and that once.

    Ranges have an end, so that neither a line's buffers nor the server's are filled with what nobody reads. A server
    that knows no ranges is read from the beginning to the end.
    """

    def __init__(
        self, opener: Opener, max_bytes: int, limits: TransferConfig, respect_opt_out: bool, folder: Path
    ) -> None:
        self._opener = opener
        self._max_bytes = max_bytes
        self._limit_s = limits.limit_s
        self._respect = respect_opt_out
        self.size = 0
        self.confirmed = True  # the server said how long the file is
        self.renew()
        # An unnamed file that vanishes with the process; holes take no room.
        self._store = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (lives as long as the reader)
        self._have: list[tuple[int, int]] = []  # sorted, disjoint
        try:
            self._insist(0, _FIRST)
        except BaseException:
            self.close()
            raise

    def renew(self) -> None:
        """Start the limits of time and bytes anew, for another clip of the same video."""
        self._deadline = time.monotonic() + self._limit_s
        self._fetched = 0

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`, from the store where they are there already."""
        end = min(offset + size, self.size)
        while (at := self._stored_until(offset)) < end:
            self._insist(at, max(end, at + _NEXT))
        return os.pread(self._store.fileno(), max(0, end - offset), offset)

    def _insist(self, start: int, end: int) -> None:
        """Fetch a range, going on where a connection broke."""
        tries = 0
        while True:
            try:
                self._fetch(start, end)
                return
            except ClipError as failure:
                tries += 1
                if failure.status != "network" or tries > _RESUMPTIONS or time.monotonic() > self._deadline:
                    raise
                progress = self._stored_until(start)
                if progress == start:
                    raise  # not even a byte: a matter for the next attempt
                start = progress
                if start >= end:
                    return

    def _fetch(self, start: int, end: int) -> None:
        index = bisect.bisect_left(self._have, (start, 0))
        if index < len(self._have):
            end = min(end, self._have[index][0])
        try:
            answer = within(lambda: self._opener(start, end), self._deadline - time.monotonic(), self._limit_s)
        except TooSlowError as failure:
            raise ClipError("network", f"the transfer {failure}") from failure
        try:
            size = check_answer(answer, 1 << 62, self._respect)
            ranged = answer.status == 206
            if self.size and size not in {None, self.size}:
                raise ClipError("network", "the file changed during the transfer")
            if ranged and size is None:
                raise ClipError("network", "the server does not say how long the file is")
            self.size = self.size or size or 0
            self.confirmed = size is not None
            at = start if ranged else 0
            stop = min(end, self.size) if ranged else self.size or None
            while chunk := network.read(answer, network.CHUNK if stop is None else min(network.CHUNK, stop - at)):
                self._keep(at, chunk)
                at += len(chunk)
                if at == stop:
                    break
            self.size = self.size or at
            if stop is not None and at < stop:
                raise ClipError("network", f"{at} of {self.size} bytes came")
        finally:
            answer.close()

    def _keep(self, at: int, chunk: bytes) -> None:
        os.pwrite(self._store.fileno(), chunk, at)
        self._fetched += len(chunk)
        if self._fetched > self._max_bytes:
            raise ClipError("too_large", f"the segment needs more than media.max_bytes = {self._max_bytes} bytes")
        if time.monotonic() > self._deadline:
            raise ClipError("network", f"the transfer did not end within {self._limit_s:.0f} s")
        begin, stop = at, at + len(chunk)
        kept = []
        for low, high in self._have:
            if high < begin or low > stop:
                kept.append((low, high))
            else:
                begin, stop = min(begin, low), max(stop, high)
        bisect.insort(kept, (begin, stop))
        self._have = kept

    def _stored_until(self, at: int) -> int:
        """Return the end of the stored range that holds byte `at`, or `at` itself."""
        index = bisect.bisect_right(self._have, (at, 1 << 62)) - 1
        return max(at, self._have[index][1]) if index >= 0 and self._have[index][0] <= at else at
