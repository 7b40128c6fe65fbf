"""Media files made on the spot, and shards of them."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import av
import numpy as np
import pandas as pd
import pytest

from avzsl.config.dataset import DatasetConfig

RATE = 16000


def write_clip(
    path: Path, seconds: float = 1.0, fps: int = 25, audio: bool = True, video: bool = True, size: int = 64, faststart: bool = False,
    gop: int = 12, noise: bool = False,
) -> Path:  # fmt: skip
    """Write a clip whose picture counts time (grey level = 4 x frame number mod 256) and whose sound is a click each half second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"movflags": "faststart"} if faststart else {}
    with av.open(str(path), "w", container_options=options, format=None if path.suffix else "mp4") as out:
        if video:
            picture = out.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "g": str(gop), "crf": "12"})
            picture.width = picture.height = size
            picture.pix_fmt = "yuv420p"
        if audio:
            sound = out.add_stream("aac", rate=RATE, layout="mono")
        if video:
            for i in range(max(1, round(seconds * fps))):
                picture_of = np.full((size, size), 16 + (i * 4) % 220, np.uint8)
                if noise:
                    picture_of[16:] = np.random.default_rng(i).integers(0, 256, (size - 16, size))
                frame = av.VideoFrame.from_ndarray(picture_of, format="gray")
                frame = frame.reformat(format="yuv420p")
                frame.pts, frame.time_base = i, Fraction(1, fps)
                out.mux(picture.encode(frame))
            out.mux(picture.encode())
        if audio:
            t = np.arange(round(seconds * RATE))
            wave = np.where(t % (RATE // 2) < 160, 0.8 * np.sin(t * 0.7), 0.0).astype(np.float32)
            for start in range(0, len(wave), 1024):
                part = wave[None, start : start + 1024]
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
                out.mux(sound.encode(frame))
            out.mux(sound.encode())
    return path


@pytest.fixture(scope="session")
def make_clip() -> Callable[..., Path]:
    return write_clip


@pytest.fixture(scope="session")
def good_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "good.mp4", seconds=1.0, faststart=True)


def folder_clips(paths: list[str], **columns: object) -> pd.DataFrame:
    """A CLIPS table of whole files."""
    frame = pd.DataFrame({"clip_id": paths, "path": paths, "source_id": paths})
    frame["dataset"], frame["class_name"], frame["shard"] = "mine", "a class", 0
    for name, value in columns.items():
        frame[name] = value
    return frame


@pytest.fixture(scope="session")
def make_clips() -> Callable[..., pd.DataFrame]:
    return folder_clips


@pytest.fixture
def make_dataset() -> Callable[..., DatasetConfig]:
    def make(*sources: dict[str, object], catalog: dict[str, object] | None = None, **media: object) -> DatasetConfig:
        return DatasetConfig.model_validate(
            {
                "catalog": catalog or {"module": "folder"},
                "sources": sources,
                "media": media,
                "embeddings": {"table": "demo"},
            }
        )

    return make


class Faults(ThreadingHTTPServer):
    """The internet in small: serves media by name, with faults in the order given, and notes every request."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: dict[str, bytes] = {}
        self.faults: dict[str, list[str]] = {}  # consumed one a request; a last one that ends in '!' stays
        self.headers: dict[str, str] = {}
        self.seen: list[tuple[float, str, str]] = []  # time, name, range and "?" after a redirect
        self.sent = 0
        self.stall_s = 3.0
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def count(self, name: str) -> int:
        return sum(1 for _, seen, _ in self.seen if seen == name)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Faults

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server, name = self.server, unquote(urlsplit(self.path).path.removeprefix("/"))
        wanted = self.headers.get("Range", "")
        with server.lock:
            server.seen.append((time.time(), name, wanted + ("?" if "?" in self.path else "")))
            queue = server.faults.get(name, [])
            fault = (queue[0] if queue and queue[0].endswith("!") else queue.pop(0)).rstrip("!") if queue else "ok"
        if fault == "ok" and name not in server.bodies:
            fault = "404"
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.close_connection = True
            self.connection.close()
        elif fault.isdigit():
            self._answer(int(fault), b"no", {"Retry-After": "0"} if fault == "429" else {})
        elif fault == "redirect":
            self._answer(302, b"", {"Location": f"/{name}?again"})
        elif fault == "loop":
            self._answer(302, b"", {"Location": f"/{name}"})
            with server.lock:
                server.faults[name] = ["loop!"]
        elif fault == "html":
            self._answer(200, b"<html>sign in</html>", {"Content-Type": "text/html; charset=utf-8"})
        elif fault == "garbage":
            self._media(b"\0garbage" * 400, "", 1.0)
        elif fault == "truncate":
            self._media(server.bodies[name], wanted, 0.5)
        elif fault == "longer":  # announces more than there is
            self._media(server.bodies[name], "", 1.0, extra=1000)
        elif fault == "endless":  # no length at all, and cut
            self._media(server.bodies[name][: len(server.bodies[name]) // 2], "", 1.0, length=False)
        elif fault == "whole":  # ignores ranges
            self._media(server.bodies[name], "", 1.0)
        elif fault in {"stall", "drip"}:
            self._media(server.bodies[name], wanted, 0.3, slow=fault)
        elif fault == "noai":
            self._media(server.bodies[name], wanted, 1.0, headers={"X-Robots-Tag": "otherbot: noai, noindex"})
        elif fault == "huge":
            self._answer(200, b"", {"Content-Type": "video/mp4"}, length=10_000_000_000)
        else:
            self._media(server.bodies[name], wanted, 1.0)

    def _media(
        self, body: bytes, wanted: str, share: float, *, slow: str = "", extra: int = 0, length: bool = True,
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
        start, status, total = 0, 200, len(body)
        sent = {"Content-Type": "video/mp4", **(headers or {})}
        if match:
            start, status = int(match[1]), 206
            stop = min(int(match[2]) + 1, total) if match[2] else total
            sent["Content-Range"] = f"bytes {start}-{stop - 1}/{total}"
            body = body[:stop]
        part = body[start:]
        cut = part[: int(len(part) * share)]
        self._answer(status, cut, sent, length=len(part) + extra if length else None, slow=slow)
        if len(cut) < len(part) or extra or not length:
            self.close_connection = True

    def _answer(
        self, status: int, body: bytes, headers: dict[str, str], length: int | None = -1, slow: str = ""
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, **self.server.headers}.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length < 0 else length))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            if slow == "drip":
                end = time.monotonic() + self.server.stall_s
                for i in range(len(body)):
                    self.wfile.write(body[i : i + 1])
                    self.wfile.flush()
                    if time.monotonic() > end:
                        break
                    time.sleep(0.02)
            else:
                for i in range(0, len(body), 1 << 16):
                    self.wfile.write(body[i : i + (1 << 16)])
                    self.server.sent += len(body[i : i + (1 << 16)])
                self.wfile.flush()
                if slow == "stall":
                    time.sleep(self.server.stall_s)
        except OSError:
            self.close_connection = True


@pytest.fixture
def server() -> Iterator[Faults]:
    faults = Faults()
    yield faults
    faults.shutdown()
    faults.server_close()


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[..., pd.DataFrame]:
    """Fetch one shard into tmp_path and return its manifest by clip id."""
    from avzsl.acquisition import fetch_shard

    def run(clips: pd.DataFrame, dataset: DatasetConfig, **options: object) -> pd.DataFrame:
        table = fetch_shard(
            clips, "mine", dataset, tmp_path / "data" / "mine" / "media" / "0000", tmp_path / "results" / "0000.parquet",
            shard=0, state=tmp_path / "state", **options,
        )  # fmt: skip
        return table.set_index("clip_id")

    return run


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return tmp_path / "results" / "0000.parquet"


QUICK = {"backoff_s": 0.01, "cool_down_s": 0.05, "attempts": 4, "cool_downs": 5}


@pytest.fixture
def http(server: Faults) -> Callable[..., dict[str, object]]:
    """The configuration of a quick http source on the test server."""

    def make(pace: dict[str, object] | None = None, **options: object) -> dict[str, object]:
        return {
            "kind": "http", "name": "web", "url": f"{server.url}/{{path}}", "pace": {**QUICK, **(pace or {})},
            "transfer": {"timeout_s": 0.7, "limit_s": 2.0}, **options,
        }  # fmt: skip

    return make
