"""Files of a web server."""

from __future__ import annotations

import threading
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

import yt_dlp

from avzsl.acquisition import network
from avzsl.acquisition.clip import Clip, file_suffix
from avzsl.acquisition.errors import ClipError
from avzsl.acquisition.pace import Pace
from avzsl.acquisition.policy import Robots
from avzsl.acquisition.sources.base import Fetched, Work, original_path
from avzsl.acquisition.transfer import Opener, RangeReader, download
from avzsl.config.sources import HttpSource
from avzsl.contracts.secrets import filled, hide_address, remember_address


class Http:
    """Direct links: whole files, or only the bytes that a segment needs."""

    remote = True

    def __init__(self, config: HttpSource, state: Path, stop: threading.Event) -> None:
        self.name = config.name or f"http:{urlsplit(config.url).hostname or config.url}"
        self.config = config
        self.parallel = min(config.pace.parallel, 16)
        self.attempts, self.backoff_s = config.pace.attempts, config.pace.backoff_s
        self.pace = Pace(state, f"http-{urlsplit(config.url).hostname or self.name}", config.pace, stop)
        self._robots = Robots(config.user_agent) if config.respect_opt_out else None
        headers = {name: network.reveal(secret) for name, secret in config.headers.items()}
        self._headers = {"User-Agent": config.user_agent, **headers}
        self._url = filled(config.url)
        remember_address(self._url)
        self._local = threading.local()
        self._clients: list[yt_dlp.YoutubeDL] = []

    def open(self) -> None:
        """Nothing to prepare: sessions are opened by the threads that need them."""

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()

    def fetch(self, clip: Clip, work: Work) -> Fetched:
        url = address(clip.fill(self._url, in_address=True))
        if self._robots is not None:
            self._robots.check(url, self._load)
        with self.pace.request():
            try:
                return self._fetch(url, clip, work)
            except ClipError as failure:
                # The catalogue may give signed addresses, and the server may repeat them.
                known = (clip.source_id, clip.clip_id, clip.class_name, clip.path)
                said = hide_address(failure.error, url, known)
                raise ClipError(failure.status, said, failure.retry_after_s) from None

    def _fetch(self, url: str, clip: Clip, work: Work) -> Fetched:
        suffix = file_suffix(PurePosixPath(urlsplit(url).path).suffix)
        limits, respect = self.config.transfer, self.config.respect_opt_out
        segment = clip.segmented and not self.config.trimmed
        if segment and not work.keep_originals:
            reader = work.shared(
                url, lambda: RangeReader(self._opener(url), work.media.max_bytes, limits, respect, work.partial.parent)
            )
            return Fetched(work.partial, suffix=".mp4", is_segment=True, facts=work.cut([reader], clip))
        target = work.partial
        if segment and work.keep_originals:
            target = original_path(work.partial.parent, clip, suffix)
            if target.is_file():
                return Fetched(target, suffix=".mp4")
            target = target.with_name(work.partial.name)
        confirmed = download(self._opener(url), target, work.media.max_bytes, limits, respect)
        if target != work.partial:
            target = target.replace(original_path(work.partial.parent, clip, suffix))
            return Fetched(target, suffix=".mp4", confirmed=confirmed)
        return Fetched(
            target, suffix=".mp4" if segment else suffix, is_segment=self.config.trimmed, confirmed=confirmed
        )

    def _opener(self, url: str) -> Opener:
        """Return a function that opens ranges of `url`; further requests wait for their turn."""
        asked = False
        client = self._client()

        def opener(start: int, end: int | None) -> Any:
            nonlocal asked
            if asked:
                self.pace.turn()
            asked = True
            # Even the first request names a range: the answer tells whether the server serves them.
            return network.open_url(client, url, self._headers, start, end)

        return opener

    def _load(self, url: str) -> bytes:
        """Return a robots.txt; RFC 9309 asks readers for at least its first 500 kiB."""
        with self.pace.request():
            try:
                answer = network.open_url(self._client(), url, self._headers)
            except ClipError as failure:
                # Any 4xx but 429 means that there are no rules, not that the site turns us away.
                if failure.status == "rate_limited" or (failure.status == "network" and "HTTP 4" not in failure.error):
                    raise
                return b""
            try:
                return network.read_all(answer, 1 << 19)
            finally:
                answer.close()

    def _client(self) -> yt_dlp.YoutubeDL:
        client: yt_dlp.YoutubeDL | None = getattr(self._local, "client", None)
        if client is None:
            proxy = network.reveal(self.config.proxy) if self.config.proxy else None
            client = network.session(
                self.config.private_redirects, socket_timeout=self.config.transfer.timeout_s, proxy=proxy
            )
            self._local.client = client
            self._clients.append(client)
        return client


def address(text: str) -> str:
    """Return a filled-in address with what needs it quoted; raises ClipError if it is not http(s)."""
    url = quote(text, safe=":/?#[]@!$&'()*+,;=%~")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ClipError("no_such_format", f"{text[:80]!r} is not an http address")
    return url
