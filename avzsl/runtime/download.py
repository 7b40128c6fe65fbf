"""Download a file once: several addresses, resumed after a break or a kill, bounded, checked, kept."""

from __future__ import annotations

import functools
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from avzsl.contracts.atomic import write_text
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_file, sha256_text
from avzsl.contracts.secrets import filled, hide, place_of, remember_address
from avzsl.runtime.locks import waiting
from avzsl.runtime.progress import progress
from avzsl.runtime.redirects import guard

if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)

Opened = TypeVar("Opened")

CHUNK = 1 << 20
# Seconds without a byte before a connection counts as broken, and for a whole file.
TIMEOUT_S, LIMIT_S = 30.0, 12 * 3600.0
# The largest word vectors in use have 8 GB.
MAX_BYTES = 1 << 34
# Attempts in a row that bring nothing new; before the second one RETRY_S are waited, then more and more.
ATTEMPTS, RETRY_S = 5, 1.0
_REDIRECTS = 10


class RefusedError(Exception):
    """The server said no or sent something else; asking again does not help."""


class BrokenError(Exception):
    """The connection ended early; what came so far is kept, and asking for the rest may help."""


class TooLargeError(RefusedError):
    """More bytes come than are allowed."""


class TooSlowError(RefusedError):
    """The file did not come within its time."""


class Answer(Protocol):
    """A server's answer: the bytes of the file from `start` on. `read` and `close` may raise BrokenError."""

    @property
    def start(self) -> int:
        """The place in the file of the first byte that comes."""

    @property
    def size(self) -> int | None:
        """Bytes of the whole file; None if the server does not say."""

    def read(self) -> bytes:
        """Return what has come, or nothing at the end."""

    def close(self) -> None:
        """Let go of the connection."""


def receive(
    opener: Callable[[int], Answer],
    out: Path,
    *,
    max_bytes: int,
    limit_s: float,
    again: Callable[[BrokenError, int, bool], None],
    tick: Callable[[int, int | None], None] = lambda done, size: None,
) -> bool:
    """Fetch to the end of the file `out` what is missing there; returns whether the server confirmed the length.

    `opener` asks for the file from a byte on. After a break `again` is told of it, of the bytes that there are, and
    whether any came new: it waits, or raises what ends the transfer. `tick` hears of the bytes done and in all.

    Raises TooLargeError, TooSlowError, BrokenError past the time limit, and whatever `opener` and `again` raise.
    """
    deadline = time.monotonic() + limit_s
    size: int | None = None
    with out.open("ab") as stream:
        done = stream.tell()
        while True:
            before = done
            try:
                answer = within(functools.partial(opener, done), deadline - time.monotonic(), limit_s)
                try:
                    if answer.start != done:  # the server starts over, so do we
                        stream.truncate(0)
                        done = 0
                        if answer.start:
                            raise BrokenError("another part came than was asked for")
                    if size is not None and answer.size not in {None, size}:
                        raise BrokenError("the file changed during the transfer")
                    size = size if answer.size is None else answer.size
                    if size is not None and size > max_bytes:
                        raise TooLargeError(f"has {size} bytes, at most {max_bytes} are taken")
                    while chunk := answer.read():
                        stream.write(chunk)
                        done += len(chunk)
                        tick(done, size)
                        if done > max_bytes:
                            raise TooLargeError(f"sends more than the {max_bytes} bytes that are taken")
                        if time.monotonic() > deadline:
                            raise TooSlowError(f"did not end within {limit_s:.0f} s")
                    if size is None or done == size:
                        return size is not None
                    raise BrokenError(f"{done} of {size} bytes came")
                finally:
                    answer.close()
            except BrokenError as failure:
                if time.monotonic() > deadline:
                    raise
                again(failure, done, done > before)
                stream.flush()
                done = out.stat().st_size


def within(call: Callable[[], Opened], seconds: float, limit_s: float) -> Opened:
    """Return what `call` returns or raises within `seconds`; raises TooSlowError, which names `limit_s`, if it does not end.

    A server that sends a byte of its headers now and then keeps a connection open for ever; the thread that listens to it
    ends with it, or with the process.
    """
    done: queue.SimpleQueue[tuple[Opened | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            done.put((call(), None))
        except BaseException as error:  # it is raised where it is waited for
            done.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        result, error = done.get(timeout=max(0.0, seconds))
    except queue.Empty:
        raise TooSlowError(f"did not end within {limit_s:.0f} s") from None
    if error is not None:
        raise error
    return cast(Opened, result)


def download(
    urls: Sequence[str],
    path: str | Path,
    *,
    sha256: str | None = None,
    by_hand: str = "",
    max_bytes: int = MAX_BYTES,
    timeout_s: float = TIMEOUT_S,
) -> Path:
    """Return `path`, downloaded from the first of `urls` that gives it.

    A file that is there already is used again if its checksum is still that of `sha256` or, without one, the one
    recorded beside it (`NAME.sha256`) when it was first downloaded. A broken transfer leaves `NAME.part` and goes
    on from there, also in a later run; the file gets its name only when it is whole.

    Raises DataError, with every address and what it said, and `by_hand` (where else to get the file and which key to
    set), if none gives the file or what comes has the wrong checksum or too many bytes.
    """
    path = Path(path)
    with waiting(path.with_name(path.name + ".lock")):  # two jobs may want the same file
        if path.is_file() and _is_whole(path, sha256):
            return path
        problems = []
        for url in urls:
            try:
                address = filled(url)
                remember_address(address)
                digest = _fetch(address, path, sha256, max_bytes, timeout_s)
            except (BrokenError, RefusedError) as error:
                problems.append(hide(f"{place_of(url)}: {error}"))
                logger.warning("%s: %s", place_of(url), error)
                continue
            write_text(path.with_name(path.name + ".sha256"), f"{digest}  {path.name}\n")
            return path
    said = "; ".join(problems) or "no address is known"
    raise DataError(path, f"could not be downloaded ({said}); run again to go on{by_hand and ', or '}{by_hand}")


def recorded(path: Path) -> str | None:
    """Return the checksum that was recorded when `path` was first downloaded; None if it was not."""
    note = path.with_name(path.name + ".sha256")
    words = note.read_text(encoding="utf-8").split() if note.is_file() else []
    return words[0] if words else None


def _is_whole(path: Path, sha256: str | None) -> bool:
    expected = sha256 or recorded(path)
    if expected is None or sha256_file(path) == expected.lower():
        return True
    logger.warning("%s: its checksum is no longer the expected one; downloading it again", path)
    return False


def _fetch(url: str, path: Path, sha256: str | None, max_bytes: int, timeout_s: float) -> str:
    """Download `url` to `path` and return its checksum; every attempt goes on where the last one broke."""
    if not url.startswith(("http://", "https://")):
        raise RefusedError("is not an http or https address")
    part = path.with_name(path.name + ".part")
    origin = part.with_name(part.name + ".url")
    # A part from another address may be another version of the file.
    mark = sha256_text(url)
    if not (origin.is_file() and origin.read_text(encoding="utf-8") == mark):
        part.unlink(missing_ok=True)
        write_text(origin, mark)
    failures = 0

    def again(failure: BrokenError, done: int, grown: bool) -> None:
        nonlocal failures
        failures = 1 if grown else failures + 1
        if failures >= ATTEMPTS or (not done and isinstance(failure, _UnreachableError)):
            raise failure
        pause = RETRY_S * (2**failures - 1)
        logger.info("%s: %s; trying again in %.0f s", place_of(url), failure, pause)
        time.sleep(pause)

    import requests  # here, since half of what avzsl does downloads nothing

    with requests.Session() as session, progress(path.name, 0, "MiB") as ticker:
        session.max_redirects = _REDIRECTS
        guard(session)

        def tick(done: int, size: int | None) -> None:
            ticker.expect((size or 0) >> 20)
            ticker.advance((done >> 20) - ticker.done)

        receive(
            lambda start: _open(session, url, part, start, timeout_s),
            part, max_bytes=max_bytes, limit_s=LIMIT_S, again=again, tick=tick,
        )  # fmt: skip
    digest = sha256_file(part)
    origin.unlink(missing_ok=True)
    if sha256 is not None and digest != sha256.lower():
        part.unlink()
        raise RefusedError(f"the file has checksum {digest}, expected {sha256}, and was thrown away")
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    part.replace(path)
    return digest


class _UnreachableError(BrokenError):
    """There is no connection."""


class _Body:
    """An `Answer` of requests, unread."""

    def __init__(self, response: requests.Response, asked: int) -> None:
        self._response = response
        length = response.headers.get("Content-Length", "")
        self.start = 0
        self.size = int(length) if length.isdigit() else None
        if response.status_code == 206:
            named = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            self.start = int(named[1]) if named else asked
            self.size = None if self.size is None else self.size + self.start

    def read(self) -> bytes:
        import urllib3

        # read1 returns what has come; read would wait for a whole chunk and never notice a server that drips.
        try:
            return bytes(self._response.raw.read1(CHUNK, decode_content=False))
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            early = isinstance(error, urllib3.exceptions.ProtocolError)
            raise BrokenError("the connection ended early" if early else _reason(error)) from error

    def close(self) -> None:
        self._response.close()


def _open(session: requests.Session, url: str, part: Path, start: int, timeout_s: float) -> _Body:
    import requests

    headers = {"User-Agent": "avzsl", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = session.get(url, headers=headers, stream=True, timeout=timeout_s)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _UnreachableError(f"cannot be reached ({_reason(error)})") from error
    except (requests.RequestException, OSError, ValueError) as error:
        raise RefusedError(_reason(error)) from error
    code = response.status_code
    if code in {200, 206}:
        return _Body(response, start)
    response.close()
    if code == 416 and start:
        os.truncate(part, 0)  # what is there is no beginning of the file: start anew
        raise BrokenError("the partial file did not fit")
    kind = BrokenError if code >= 500 or code == 429 else RefusedError
    # A server may say anything here.
    said = "".join(letter for letter in str(response.reason or "")[:60] if letter.isprintable())
    raise kind(f"HTTP {code} {said}".strip())


def _reason(error: Exception) -> str:
    """Return the innermost sentence of an error, without the objects that urllib3 prints around it."""
    cause: object = error
    while isinstance(cause, Exception):
        inner = getattr(cause, "reason", None) or next((a for a in cause.args if isinstance(a, Exception)), None)
        if not isinstance(inner, Exception):
            break
        cause = inner
    return re.sub(r"^<?[^<>]*object at 0x[0-9a-f]+>?: |^\w+\(.*?\): ", "", str(cause)).strip() or type(error).__name__
