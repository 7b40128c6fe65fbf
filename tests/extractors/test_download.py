"""Downloads: resumed, checked, recorded."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_text
from avzsl.runtime import download as module
from extractors.download import download

BODY = bytes(range(256)) * 4096


class Site:
    """A small web server that can break off, refuse ranges, and count."""

    def __init__(self) -> None:
        self.body, self.breaks, self.ranges, self.status = BODY, 0, True, 200
        self.requests: list[str | None] = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                site.requests.append(asked)
                if site.status != 200:
                    self.send_error(site.status)
                    return
                start = int(asked.split("=")[1].rstrip("-")) if asked and site.ranges else 0
                if start >= len(site.body):
                    self.send_error(416)
                    return
                rest = site.body[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(rest)))
                self.end_headers()
                if site.breaks:
                    site.breaks -= 1
                    self.wfile.write(rest[: len(rest) // 2])
                    return
                self.wfile.write(rest)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/weights.pth"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(module, "CHUNK", 1 << 12)
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


def test_once(site: Site, tmp_path: Path) -> None:
    path, digest = download(site.url, tmp_path)
    assert path.read_bytes() == BODY
    assert download(site.url, tmp_path) == (path, digest)
    assert len(site.requests) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_broken_transfers_are_resumed(site: Site, tmp_path: Path, ranges: bool) -> None:
    site.breaks, site.ranges = 3, ranges
    path, _ = download(site.url, tmp_path)
    assert path.read_bytes() == BODY
    assert len(site.requests) == 4
    assert (site.requests[1] or "").startswith("bytes=")


def test_a_later_run_resumes(site: Site, tmp_path: Path) -> None:
    site.status = 503
    part = tmp_path / f"weights_pth-{sha256_text(site.url)[:12]}.part"
    part.write_bytes(BODY[:1000])
    part.with_name(part.name + ".url").write_text(sha256_text(site.url))
    with pytest.raises(DataError, match=r"could not be downloaded .* run again to go on"):
        download(site.url, tmp_path)
    assert len(site.requests) == module.ATTEMPTS
    site.status, site.requests = 200, []
    assert download(site.url, tmp_path)[0].read_bytes() == BODY
    assert (site.requests[0] or "").startswith("bytes=")


def test_the_first_checksum_is_recorded_and_must_hold(site: Site, tmp_path: Path) -> None:
    path, digest = download(site.url, tmp_path)
    path.write_bytes(BODY[:-1] + b"!")
    with pytest.raises(DataError, match=rf"expected {digest}; delete it"):
        download(site.url, tmp_path)
    path.unlink()
    site.body = b"another file"
    with pytest.raises(DataError, match="thrown away"):
        download(site.url, tmp_path)
    assert not path.exists()


def test_a_wrong_checksum_is_refused(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected 0000"):
        download(site.url, tmp_path, "0" * 64)
    assert [p.suffix for p in tmp_path.iterdir()] == [".lock"]


def test_no_such_file(site: Site, tmp_path: Path) -> None:
    site.status = 404
    with pytest.raises(DataError, match=r"404.*fetch it by hand"):
        download(site.url, tmp_path)
    assert len(site.requests) == 1


def test_stale_partial_file(site: Site, tmp_path: Path) -> None:
    target = tmp_path / f"weights_pth-{sha256_text(site.url)[:12]}"
    (tmp_path / f"{target.name}.part").write_bytes(b"x" * (len(BODY) + 5))
    (tmp_path / f"{target.name}.part.url").write_text(site.url)
    path, _ = download(site.url, tmp_path)
    assert path.read_bytes() == BODY
