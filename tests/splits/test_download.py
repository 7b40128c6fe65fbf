"""The downloader against a server on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import avzsl.runtime.download as module
from avzsl.contracts.errors import AvzslError
from avzsl.contracts.hashing import sha256_text
from avzsl.runtime.download import download

BODY = "".join(f"line {number}\n" for number in range(5000))
DATA = BODY.encode()


class Server(ThreadingHTTPServer):
    """Serves /file; /broken ends after a third, once, /short always; /html is something else; the rest is 404."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.requests.append((self.path, asked))
        if self.path in {"/file", "/broken", "/short"}:
            start = int(asked[6:-1]) if asked and self.path != "/short" else 0
            if start > len(DATA):
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(DATA) - 1}/{len(DATA)}")
            self.send_header("Content-Length", str(len(DATA) - start))
            self.end_headers()
            first = self.path == "/short" or (self.path == "/broken" and not start)
            self.wfile.write(DATA[start : start + len(DATA) // 3] if first else DATA[start:])
        elif self.path in {"/to-a-file", "/loop"}:
            self.send_response(302)
            self.send_header("Location", "/loop" if self.path == "/loop" else "file:///etc/passwd")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == "/html":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>please log in</html>")
        else:
            self.send_error(404)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_it_is_downloaded_once(server, tmp_path):
    for _ in range(2):
        path = download([server.url("file")], tmp_path / "a.txt", sha256=sha256_text(BODY))
        assert path.read_text() == BODY
    assert len(server.requests) == 1


def test_the_next_address_is_tried(server, tmp_path):
    path = download(
        [server.url("gone"), server.url("html"), server.url("file")], tmp_path / "a", sha256=sha256_text(BODY)
    )
    assert path.read_text() == BODY


def test_a_broken_transfer_goes_on_where_it_ended(server, tmp_path):
    assert download([server.url("broken")], tmp_path / "a").read_text() == BODY
    assert server.requests == [("/broken", None), ("/broken", f"bytes={len(DATA) // 3}-")]


def test_a_part_of_an_earlier_run_is_used_only_for_the_same_address(server, tmp_path):
    (tmp_path / "a.part").write_bytes(DATA[:100])
    (tmp_path / "a.part.url").write_text(sha256_text(server.url("file")))
    assert download([server.url("file")], tmp_path / "a").read_text() == BODY
    assert server.requests == [("/file", "bytes=100-")]
    (tmp_path / "b.part").write_bytes(b"another version")
    (tmp_path / "b.part.url").write_text("http://elsewhere/file")
    assert download([server.url("file")], tmp_path / "b").read_text() == BODY


def test_a_truncated_file_never_gets_the_name(server, tmp_path):
    with pytest.raises(AvzslError, match=r"\d+ of \d+ bytes came|ended early"):
        download([server.url("short")], tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_wrong_checksum_says_where_to_get_it_by_hand(server, tmp_path):
    with pytest.raises(AvzslError, match=r"checksum .* expected .*Get it from X"):
        download([server.url("html")], tmp_path / "a", sha256="0" * 64, by_hand="Get it from X.")
    assert not (tmp_path / "a").exists()


def test_a_cached_file_that_changed_is_fetched_again(server, tmp_path):
    path = download([server.url("file")], tmp_path / "a")
    path.write_text("damaged")
    assert download([server.url("file")], tmp_path / "a").read_text() == BODY


def test_no_network_and_strange_addresses(tmp_path):
    with pytest.raises(AvzslError, match="cannot be reached"):
        download(["http://127.0.0.1:9/file"], tmp_path / "a")
    with pytest.raises(AvzslError, match="is not an http"):
        download(["file:///etc/passwd"], tmp_path / "a")


def test_a_file_that_is_too_large_is_left(server, tmp_path):
    with pytest.raises(AvzslError, match=rf"has {len(DATA)} bytes, at most 1000"):
        download([server.url("file")], tmp_path / "a", max_bytes=1000)
    with pytest.raises(AvzslError, match="more than the 10 bytes"):
        download([server.url("html")], tmp_path / "a", max_bytes=10)
    assert not (tmp_path / "a").exists()


def test_a_part_that_does_not_fit_is_thrown_away(server, tmp_path):
    (tmp_path / "a.part").write_bytes(DATA + b"more")
    (tmp_path / "a.part.url").write_text(server.url("file"))
    assert download([server.url("file")], tmp_path / "a").read_text() == BODY


def test_what_changed_at_its_address_is_refused_where_a_checksum_says_so(server, tmp_path):
    with pytest.raises(AvzslError, match="thrown away"):
        download([server.url("html")], tmp_path / "a", sha256=sha256_text(BODY).upper())
    assert download([server.url("file")], tmp_path / "a", sha256=sha256_text(BODY).upper()).is_file()


def test_a_redirect_goes_nowhere_but_to_a_web_address(server, tmp_path):
    with pytest.raises(AvzslError, match="could not be downloaded"):
        download([server.url("to-a-file")], tmp_path / "a")
    with pytest.raises(AvzslError, match="redirects"):
        download([server.url("loop")], tmp_path / "a")
    assert len(server.requests) < 15
