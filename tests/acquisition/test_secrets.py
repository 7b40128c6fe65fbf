"""Secrets stay where they belong: with their host, and out of every record."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest
import requests

from avzsl.acquisition.clip import Clip
from avzsl.acquisition.errors import ClipError
from avzsl.acquisition.network import open_url, session
from avzsl.acquisition.sources.http import Http
from avzsl.config.sources import HttpSource
from avzsl.contracts import secrets
from avzsl.contracts.secrets import Hiding, hide, masked, remember
from avzsl.runtime import redirects
from avzsl.runtime.download import TooSlowError, download, receive


class Redirecting(ThreadingHTTPServer):
    """Sends on what asks for /away, and remembers the headers that come."""

    daemon_threads = True

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.to = ""
        super().__init__(("127.0.0.1", 0), _Redirects)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path: str = "", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server_port}/{path}"


class _Redirects(BaseHTTPRequestHandler):
    server: Redirecting

    def do_GET(self) -> None:
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(302 if self.path == "/away" else 200)
        if self.path == "/away":
            self.send_header("Location", self.server.to)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Redirecting]:
    made = Redirecting()
    yield made
    made.shutdown()
    made.server_close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_secret_headers_stay_with_their_host(server: Redirecting, host: str) -> None:
    server.to = server.url("end", host)
    with session() as client:
        headers = {"X-Api-Key": "s3cret", "Authorization": "Bearer s3cret", "User-Agent": "avzsl"}
        open_url(client, server.url("away"), headers).close()
    first, second = server.headers
    assert first["x-api-key"] == "s3cret"
    assert ("x-api-key" in second) == (host == "127.0.0.1")
    assert ("authorization" in second) == (host == "127.0.0.1")
    assert second["user-agent"] == "avzsl"


@pytest.mark.parametrize("allowed", [True, False])
def test_a_public_address_leads_nobody_inside(
    server: Redirecting, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.to = server.url("end", "localhost")
    monkeypatch.setattr(redirects, "is_private", lambda address: "localhost" in address)
    with session(private=allowed) as client:
        if allowed:
            open_url(client, server.url("away"), {}).close()
        else:
            with pytest.raises(ClipError, match="an address inside"):
                open_url(client, server.url("away"), {})
    assert len(server.headers) == 1 + allowed


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("http://127.0.0.1/a", True),
        ("http://[::1]/a", True),
        ("http://169.254.169.254/meta", True),
        ("http://10.0.0.1", True),
        ("http://[::ffff:10.0.0.1]/", True),
        ("http://192.168.1.1:80/", True),
        ("http://8.8.8.8/", False),
        ("http://localhost/", True),
    ],
)
def test_what_is_private(address: str, private: bool) -> None:
    assert redirects.is_private(address) == private


class _Drips(BaseRequestHandler):
    """Never ends its headers."""

    def handle(self) -> None:
        self.request.recv(1000)
        try:
            self.request.sendall(b"HTTP/1.1 200 OK\r\n")
            for number in range(600):
                self.request.sendall(f"X-{number}: a\r\n".encode())
                time.sleep(0.1)
        except OSError:
            pass


def test_headers_that_drip_end_in_time(tmp_path) -> None:
    with ThreadingTCPServer(("127.0.0.1", 0), _Drips) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"

        def opener(start: int) -> object:
            return requests.get(url, stream=True, timeout=5)

        began = time.monotonic()
        with pytest.raises(TooSlowError, match="did not end within 1 s"):
            receive(opener, tmp_path / "out", max_bytes=10, limit_s=1.0, again=lambda *_: None)
        assert time.monotonic() - began < 50, "the whole of it takes a minute"
        server.shutdown()


def test_records_hold_neither_user_nor_query() -> None:
    source = HttpSource(
        kind="http", url="https://me:s3cret@host.example/{path}?key=s3cret&id={source_id}&t=$TOKEN&bare"
    )
    text = str(source.model_dump(mode="json"))
    assert "s3cret" not in text and "me:" not in text
    assert "id={source_id}" in text and "t=$TOKEN" in text
    assert "bare" not in text
    assert source.url.startswith("https://me:s3cret@"), "what fetches knows it"
    assert masked("see https://a.example/b, and c") == "see https://a.example/b, and c"


def test_known_values_are_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    remember("t0p-s3cret")
    assert hide("a t0p-s3cret b") == "a ********** b"
    caplog.handler.addFilter(Hiding())
    try:
        raise ValueError("t0p-s3cret inside")
    except ValueError:
        logging.getLogger("x").exception("it was %s", "t0p-s3cret")
    assert "t0p" not in caplog.text and "**********" in caplog.text


def test_a_download_that_fails_names_no_query(tmp_path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(Exception, match=r"127\.0\.0\.1") as found:
        download(["http://u:s3cret@127.0.0.1:9/f?token=s3cret"], tmp_path / "f", timeout_s=1)
    texts = [str(found.value), caplog.text, *(p.read_text() for p in tmp_path.iterdir())]
    assert not any("s3cret" in text for text in texts)


def test_a_signed_address_of_a_catalogue_is_in_no_error_and_not_kept(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Http(
        HttpSource.model_validate({"kind": "http", "url": "{url}", "respect_opt_out": False}),
        tmp_path,
        threading.Event(),
    )
    clip = Clip("dog0", "dog", "video-of-a-dog", url="http://host.example/w?v=video-of-a-dog&sig=0123456789")

    def refused(url: str, *_: object) -> None:
        raise ClipError("private", f"the server said: no {url}", 7.0)

    monkeypatch.setattr(source, "_fetch", refused)
    known = secrets._known
    with pytest.raises(ClipError, match=r"said: no http://host.example/w.v=video-of-a-dog&sig=[*]+$") as caught:
        source.fetch(clip, None)  # type: ignore[arg-type]
    assert (caught.value.status, caught.value.retry_after_s) == ("private", 7.0)
    assert "0123456789" not in "".join(traceback.format_exception(caught.value))
    assert secrets._known == known
