"""HTTP through yt-dlp's networking: one stack for cookies, proxies and time-outs, whatever the source."""

from __future__ import annotations

import logging
import re
import time
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any

import yt_dlp
from pydantic import SecretStr
from urllib3.exceptions import HTTPError as PoolError
from yt_dlp.networking import Request
from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, RequestError, TransportError

from avzsl.acquisition.errors import ClipError, first_sentence
from avzsl.contracts.secrets import filled, remember_address, remember_header
from avzsl.runtime.redirects import guard

logger = logging.getLogger(__name__)

CHUNK = 1 << 18
# yt-dlp reads through urllib3.
_BROKEN = (RequestError, HTTPException, OSError, ValueError, PoolError)
_GONE = {
    404: "removed",
    410: "removed",
    403: "private",
    451: "geo_blocked",
    401: "sign_in_required",
    407: "sign_in_required",
}


def reveal(secret: SecretStr) -> str:
    """Return a secret with environment variables filled in; raises ConfigError if one is not set."""
    text = filled(secret.get_secret_value())
    remember_header(text)
    if "://" in text:
        remember_address(text)
    return text


class Silent:
    """A yt-dlp logger that keeps its lines out of the terminal, secrets with them."""

    def debug(self, message: str) -> None:
        pass

    info = warning = error = debug


def session(private: bool = False, **params: Any) -> yt_dlp.YoutubeDL:
    """Return a yt-dlp session that prints nothing, writes nothing and retries nothing by itself.

    Its redirects are guarded (`avzsl.runtime.redirects`); `private` allows those to private addresses.
    """
    quiet: dict[str, Any] = {
        "quiet": True, "no_warnings": True, "noprogress": True, "logger": Silent(), "retries": 0, "cachedir": False,
        "extractor_retries": 0, "file_access_retries": 0, "noplaylist": True, "color": "never",
    }  # fmt: skip
    client = yt_dlp.YoutubeDL({**quiet, **params}, auto_init=True)
    handler: Any = client._request_director.handlers["Requests"]
    create = handler._create_instance
    # yt-dlp follows redirects itself and sends all headers along.
    handler._create_instance = lambda **given: guard(create(**given), private)
    return client


def open_url(
    client: yt_dlp.YoutubeDL, url: str, headers: dict[str, str], start: int = 0, end: int | None = None
) -> Any:
    """Open an address, with `start` as a request for the bytes from there on (up to `end`); the answer is a yt-dlp Response.

    Raises ClipError with the status that fits: removed (404, 410), private (403), geo_blocked (451),
    sign_in_required (401), rate_limited (429, or a 503 that says when to come back), network (other codes and
    everything below HTTP).
    """
    headers = {"Accept-Encoding": "identity", **headers}
    if start is not None:
        headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
    try:
        return client.urlopen(Request(url, headers=headers))
    except (RequestError, OSError, ValueError) as error:
        raise failure_of(error) from error


def failure_of(error: BaseException) -> ClipError:
    """Turn an error of yt-dlp's networking into a ClipError."""
    if isinstance(error, HTTPError):
        answer = error.response
        wait = retry_after(answer.get_header("Retry-After"))
        answer.close()
        text = f"HTTP {error.status} {first_sentence(error.reason or '', 60)}".strip()
        if error.status == 429 or (error.status == 503 and wait is not None):
            return ClipError("rate_limited", text, wait)
        return ClipError(_GONE.get(error.status, "network"), text)
    if isinstance(error, IncompleteRead):
        return ClipError("network", f"the transfer was cut short: {first_sentence(error)}")
    kind = "no connection" if isinstance(error, TransportError) else "request failed"
    return ClipError("network", f"{kind}: {without_addresses(first_sentence(error))}")


def without_addresses(text: str) -> str:
    """Remove what an address may hide: credentials and signed queries."""
    text = re.sub(r"(\w+://)[^/\s'\"@]*@", r"\1", text)
    return re.sub(r"(https?://[^\s?'\"]*)\?[^\s'\")]*", r"\1", text)


def retry_after(value: str | None) -> float | None:
    """Return the seconds that a Retry-After header asks for: it holds a number or a date."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def total_size(answer: Any) -> int | None:
    """Return the size of the whole file, from Content-Range or Content-Length; None if the server does not say."""
    match = re.fullmatch(r"bytes\s+\d+-\d+/(\d+)", (answer.get_header("Content-Range") or "").strip())
    if match:
        return int(match[1])
    length = answer.get_header("Content-Length") or ""
    return int(length) if answer.status == 200 and length.isdigit() else None


def read_all(answer: Any, limit: int) -> bytes:
    """Read an answer to its end or to `limit` bytes; raises ClipError (network) when the connection fails."""
    parts, left = [], limit
    while left and (part := read(answer, left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def read(answer: Any, size: int) -> bytes:
    """Read up to `size` bytes of an answer, what is there first; raises ClipError (network) when the connection fails."""
    # read1 returns what has come; read would wait for all of it and never notice a server that drips.
    read1 = getattr(answer.fp, "read1", None)
    try:
        return bytes(answer.read(size) if read1 is None else read1(size))
    except _BROKEN as error:
        raise failure_of(error) from error
