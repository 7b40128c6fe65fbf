from __future__ import annotations

import contextlib
import http.client
import select
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from avzsl.cli.serve import make_server
from avzsl.contracts.errors import AvzslError


@pytest.fixture
def address(tmp_path: Path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text("the report")
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions" / "a <b> & c.html").write_text("a prediction")
    (tmp_path / "secret.html").write_text("secret")
    with make_server(tmp_path, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_address
        server.shutdown()
        thread.join()


def get(address, path: str, host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection(*address[:2], timeout=10)
    connection.putrequest("GET", path, skip_host=host is not None)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_report_and_predictions_are_shown(address) -> None:
    assert get(address, "/") == (200, "the report")
    status, listing = get(address, "/predictions/")
    assert status == 200
    assert "a &lt;b&gt; &amp; c.html" in listing
    assert get(address, "/predictions/a%20%3Cb%3E%20%26%20c.html") == (200, "a prediction")


@pytest.mark.parametrize(
    "path",
    [
        "/secret.html",
        "/../secret.html",
        "/predictions/../secret.html",
        "/predictions/%2e%2e%2fsecret.html",
        "//etc/passwd",
    ],
)
def test_nothing_else_is_reachable(address, path: str) -> None:
    assert get(address, path)[0] == 404


def test_other_names_for_this_machine_are_refused(address) -> None:
    assert get(address, "/", host="evil.example")[0] == 403
    assert get(address, "/", host=f"localhost:{address[1]}")[0] == 200


def test_a_taken_port_is_one_sentence(address, tmp_path: Path) -> None:
    with pytest.raises(AvzslError, match="choose another --port"):
        make_server(tmp_path, "127.0.0.1", address[1])


def test_links_lead_nowhere(address, tmp_path: Path) -> None:
    (tmp_path.parent / "outside.html").write_text("outside")
    (tmp_path / "predictions" / "link.html").symlink_to(tmp_path.parent / "outside.html")
    assert get(address, "/predictions/link.html")[0] == 404
    assert "link.html" not in get(address, "/predictions/")[1]


def test_a_host_that_is_none_is_answered_in_a_sentence(address) -> None:
    status, said = get(address, "/", host="[")
    assert status == 400 and "no host" in said


@pytest.mark.parametrize("port", [70000, -1])
def test_a_port_that_is_none_is_a_sentence(tmp_path: Path, port: int) -> None:
    with pytest.raises(AvzslError, match="is no port"):
        make_server(tmp_path, "127.0.0.1", port)


def test_silent_connections_are_limited_and_end(address, monkeypatch: pytest.MonkeyPatch) -> None:
    from avzsl.cli import serve

    assert serve._Handler.timeout == serve.SILENCE_S
    held = [socket.create_connection(address[:2]) for _ in range(serve.CONNECTIONS)]
    # The server takes up connections in their order, but when it does is the system's affair.
    with socket.create_connection(address[:2], timeout=serve.SILENCE_S - 1) as late:
        assert late.recv(1) == b"", "turned away before a silent one is"
    for connection in held:
        connection.close()
    assert eventually(lambda: get(address, "/")[0] == 200)


def eventually(true: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether something becomes true; a connection that is turned away is not yet."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if true():
                return True
        time.sleep(0.1)
    return False


def test_a_request_that_drips_is_cut_off(address, monkeypatch: pytest.MonkeyPatch) -> None:
    from avzsl.cli import serve

    monkeypatch.setattr(serve, "REQUEST_S", 0.5)
    started = time.monotonic()
    with socket.create_connection(address[:2], timeout=5) as slow, contextlib.suppress(OSError):
        slow.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\nX: ")
        while time.monotonic() - started < 60 and not select.select([slow], [], [], 0.1)[0]:
            slow.sendall(b"x")
    assert time.monotonic() - started < 30
    assert eventually(lambda: get(address, "/")[0] == 200)
