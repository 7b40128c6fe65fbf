"""Videos through yt-dlp as a library: it finds the addresses, we fetch only the bytes that a segment needs."""

from __future__ import annotations

import errno
import io
import os
import re
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import yt_dlp
from yt_dlp.downloader import get_suitable_downloader
from yt_dlp.downloader.external import ExternalFD
from yt_dlp.utils import YoutubeDLError

from avzsl.acquisition import network
from avzsl.acquisition.classify import classify
from avzsl.acquisition.clip import Clip
from avzsl.acquisition.errors import AcquisitionError, ClipError, first_sentence
from avzsl.acquisition.network import reveal
from avzsl.acquisition.pace import Pace
from avzsl.acquisition.sources.base import Fetched, Work, original_path
from avzsl.acquisition.sources.http import address
from avzsl.acquisition.transfer import RangeReader
from avzsl.config.sources import YoutubeSource
from avzsl.contracts.secrets import filled, remember_address, remember_words

# What yt-dlp downloads by itself; m3u8 without `native` needs the ffmpeg program.
_PROTOCOLS = {"http", "https", "m3u8", "m3u8_native", "http_dash_segments", "mhtml", "ism", "f4m"}
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")


class Youtube:
    """A site that yt-dlp knows. One video counts as one request of the budget."""

    remote = True

    def __init__(self, config: YoutubeSource, state: Path, stop: threading.Event) -> None:
        self.name = config.name
        self.config = config
        self.parallel = min(config.pace.parallel, 16)
        self.attempts, self.backoff_s = config.pace.attempts, config.pace.backoff_s
        self.pace = Pace(state, config.name, config.pace, stop)
        self._stop = stop
        self._local = threading.local()
        self._clients: list[yt_dlp.YoutubeDL] = []
        self._cookies = ""
        self._secrets = tuple(_secrets(config))
        self._url = filled(config.url)
        remember_address(self._url)

    def open(self) -> None:
        if self.config.cookies is not None:
            path = Path(os.path.expandvars(self.config.cookies)).expanduser()
            try:
                self._cookies = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise AcquisitionError(
                    f"{path}: the cookies of source {self.name!r} cannot be read: {first_sentence(error)}"
                ) from error

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()

    def fetch(self, clip: Clip, work: Work) -> Fetched:
        if self._url.startswith("https://www.youtube.com/") and not _YOUTUBE_ID.fullmatch(clip.source_id):
            raise ClipError("no_such_format", "the catalogue's source_id is not the id of a YouTube video")
        url = address(clip.fill(self._url, in_address=True))
        with self.pace.request():
            try:
                return self._fetch(url, clip, work)
            except YoutubeDLError as error:
                if os.strerror(errno.ENOSPC) in str(error):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
                raise classify(error, self._secrets) from error
            except (ConnectionError, TimeoutError) as error:
                raise classify(error, self._secrets) from error

    def _fetch(self, url: str, clip: Clip, work: Work) -> Fetched:
        info = self._info(url, work)
        formats = info.get("requested_formats") or [info]
        licence = info.get("license")
        facts = {"licence": first_sentence(licence)} if licence else {}
        allowed = self.config.licences
        if allowed is not None and not any(word.lower() in str(licence or "").lower() for word in allowed):
            raise ClipError("refused_by_policy", f"the licence is {first_sentence(licence or 'not stated', 80)}")
        direct = all(str(f.get("protocol", "")) in {"http", "https"} for f in formats)
        if clip.segmented and direct and not work.keep_originals:
            readers = [work.shared(f["url"], partial(self._reader, f, work)) for f in formats]
            return Fetched(work.partial, suffix=".mp4", is_segment=True, facts=facts | work.cut(readers, clip))
        files = [self._whole(f, clip, work) for f in formats]
        if clip.segmented or len(files) > 1:
            # Two streams of a whole video are joined by the same cutter, from beginning to end.
            facts |= work.cut(files, clip)
            if not work.keep_originals:
                for file in files:
                    file.unlink(missing_ok=True)
            return Fetched(work.partial, suffix=".mp4", is_segment=True, facts=facts)
        suffix = f".{formats[0].get('ext', 'mp4')}"
        return Fetched(files[0].replace(work.partial), suffix=suffix, facts=facts)

    def _info(self, url: str, work: Work) -> dict[str, Any]:
        """Return what yt-dlp knows of a video; asked once for all its clips."""
        if url not in work.video:
            info = self._client().extract_info(url, download=False)
            if not info:
                raise ClipError("no_such_format", "yt-dlp finds no video at this address")
            if info.get("_type", "video") != "video":
                raise ClipError("no_such_format", "the address is a list of videos, not one")
            if info.get("is_live") or info.get("live_status") in {"is_live", "is_upcoming"}:
                raise ClipError("no_such_format", "the video is a live stream")
            work.video[url] = info
        return dict(work.video[url])

    def _reader(self, form: dict[str, Any], work: Work) -> RangeReader:
        headers = {k: v for k, v in (form.get("http_headers") or {}).items() if k.lower() != "accept-encoding"}

        def opener(start: int, end: int | None) -> Any:
            if self._stop.is_set():
                raise ClipError("network", "the run is ending")
            try:
                return network.open_url(self._client(), form["url"], headers, start, end)
            except ClipError as failure:
                # The address of a format expires and wants tokens: forbidden says nothing about the video.
                if failure.status in {"private", "removed"}:
                    raise ClipError("network", f"the format's address is refused: {failure.error}") from failure
                raise

        return RangeReader(opener, work.media.max_bytes, self.config.transfer, False, work.partial.parent)

    def _whole(self, form: dict[str, Any], clip: Clip, work: Work) -> Path:
        """Download one format as a whole with yt-dlp's own downloader (needed for HLS and the like)."""
        size = form.get("filesize") or form.get("filesize_approx") or 0
        if size > work.media.max_bytes:
            raise ClipError("too_large", f"the video has {size} bytes; media.max_bytes allows {work.media.max_bytes}")
        tag = re.sub(r"\W", "", str(form.get("format_id", "")))[:16] or "0"
        extension = re.sub(r"\W", "", str(form.get("ext", "")))[:8] or "mp4"
        final = work.partial.with_name(f"{work.partial.name}-{tag}.{extension}")
        if work.keep_originals:
            final = original_path(work.partial.parent, clip, f".{tag}.{extension}")
            if final.is_file():
                return final
        temporary = final.with_name(f"{work.partial.name}-{tag}")
        client = self._client()
        kind = get_suitable_downloader(form, client.params, to_stdout=False)
        protocol = str(form.get("protocol"))
        if protocol not in _PROTOCOLS or (issubclass(kind, ExternalFD) and not kind.available()):
            raise ClipError(
                "no_such_format", f"{protocol} needs a program that is not here; name other formats in `format`"
            )
        deadline = time.monotonic() + self.config.transfer.limit_s

        def watch(progress: dict[str, Any]) -> None:
            if (progress.get("downloaded_bytes") or 0) > work.media.max_bytes:
                raise ClipError("too_large", f"more than media.max_bytes = {work.media.max_bytes} bytes come")
            if time.monotonic() > deadline or self._stop.is_set():
                raise ClipError("network", f"the download did not end within {self.config.transfer.limit_s:.0f} s")

        try:
            loader = kind(client, client.params)
            loader.add_progress_hook(watch)
            done, _ = loader.download(str(temporary), form)
            if not done or not temporary.is_file():
                raise ClipError("network", "the download did not finish")
            if temporary.stat().st_size > work.media.max_bytes:
                raise ClipError("too_large", f"the video has more than media.max_bytes = {work.media.max_bytes} bytes")
            return temporary.replace(final)
        finally:
            for rest in temporary.parent.glob(f"{temporary.name}*"):
                if rest != final:
                    rest.unlink(missing_ok=True)

    def _client(self) -> yt_dlp.YoutubeDL:
        client: yt_dlp.YoutubeDL | None = getattr(self._local, "client", None)
        if client is None:
            client = network.session(**self._params())
            remember_words(*(cookie.value or "" for cookie in client.cookiejar))
            self._local.client = client
            self._clients.append(client)
        return client

    def _params(self) -> dict[str, Any]:
        config = self.config
        arguments = {
            extractor: {name: [reveal(value) for value in values] for name, values in options.items()}
            for extractor, options in config.extractor_args.items()
        }
        youtube = arguments.setdefault("youtube", {})
        if config.player_client:
            youtube["player_client"] = list(config.player_client)
        if config.po_token:
            youtube["po_token"] = [reveal(token) for token in config.po_token]
            remember_words(*(token.partition("+")[2] for token in youtube["po_token"]))
        params: dict[str, Any] = {
            "format": config.format,
            "extractor_args": arguments,
            "allowed_extractors": list(config.extractors),
            "socket_timeout": config.transfer.timeout_s,
            "sleep_interval_requests": config.sleep_requests_s,
            "js_runtimes": {"deno": {}, "node": {}},
            "fragment_retries": 3,
            "skip_unavailable_fragments": False,
            "nopart": True,
            "continuedl": False,
        }
        if self._cookies:
            # A copy in memory: yt-dlp writes its jar back, and two processes would spoil the user's file.
            params["cookiefile"] = io.StringIO(self._cookies)
        if config.cookies_from_browser:
            params["cookiesfrombrowser"] = (config.cookies_from_browser,)
        if config.proxy is not None:
            params["proxy"] = reveal(config.proxy)
        if config.user_agent:
            params["http_headers"] = {"User-Agent": config.user_agent}
        return params


def _secrets(config: YoutubeSource) -> list[str]:
    """Return every value that must not be shown."""
    given = [*config.po_token, *([config.proxy] if config.proxy else [])]
    given += [value for options in config.extractor_args.values() for values in options.values() for value in values]
    return [text for secret in given for text in (secret.get_secret_value(), reveal(secret))]
