"""`avzsl serve`: the report and predictions in a browser, from this machine only unless told otherwise."""

from __future__ import annotations

import argparse
import contextlib
import functools
import html
import http.server
import ipaddress
import logging
import socket
import threading
import urllib.parse
from http import HTTPStatus
from pathlib import Path
from typing import Any

from avzsl.cli import add_project
from avzsl.contracts.errors import AvzslError

logger = logging.getLogger(__name__)

# Connections at a time, and seconds of silence after which one is closed.
CONNECTIONS, SILENCE_S = 32, 15
# By when a request is here whole, however slowly it drips.
REQUEST_S = 20.0


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "serve",
        help="show the report and predictions in a browser",
        description="Serve results/report and results/predictions over HTTP. Only this machine can reach it, unless --host says otherwise.",
    )
    add_project(parser)
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s, that is this machine only")
    parser.add_argument("--port", type=int, default=8000, help="0: any free one; default: %(default)s")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted."""

    from avzsl.results.places import Places
    from avzsl.results.project import find_project

    results = Path(find_project(options.config, options.results).config.results)
    page = Places(results).page
    if not page.is_file():
        raise AvzslError(f"{page} is not there yet; build it with `snakemake --cores all report`")
    server = make_server(results, options.host, options.port)
    host, port = server.server_address[:2]
    logger.info(
        "the report: http://%s:%s/  predictions: http://%s:%s/predictions/  (Ctrl+C ends)", host, port, host, port
    )
    if not _is_loopback(options.host):
        logger.warning("anyone who reaches %s can read the report and its predictions", options.host)
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            logger.info("stopped")
    return 0


def make_server(results: Path, host: str, port: int) -> http.server.ThreadingHTTPServer:
    """Return a server of the pages of `results` at `host` and `port`; raises AvzslError if it cannot listen there."""
    handler = functools.partial(_Handler, results=results.resolve(), local=_is_loopback(host))
    try:
        return _Server((host, port), handler)
    except OverflowError as error:
        raise AvzslError(f"--port {port}: is no port; they go from 0, any free one, to 65535") from error
    except (OSError, UnicodeError) as error:
        raise AvzslError(
            f"cannot listen at {host}:{port}: {getattr(error, 'strerror', None) or error}; choose another --port, or --host"
        ) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Server(http.server.ThreadingHTTPServer):
    """Takes so many connections at a time; who comes then is turned away at once."""

    daemon_threads = True
    request_queue_size = CONNECTIONS  # with the library's 5 a browser that opens many at once waits for seconds

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers GET and HEAD for the report, the list of predictions and its pages; nothing else is reachable."""

    timeout = SILENCE_S

    def __init__(self, *arguments: Any, results: Path, local: bool) -> None:
        self._results = results
        self._local = local
        super().__init__(*arguments)

    def setup(self) -> None:
        super().setup()
        self._patience = threading.Timer(REQUEST_S, self._hang_up)
        self._patience.daemon = True
        self._patience.start()

    def finish(self) -> None:
        self._patience.cancel()
        super().finish()

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        self._patience.cancel()  # the answer takes as long as the way to the reader does
        # A page elsewhere may point its own name at this machine; then the Host header is not ours.
        try:
            name = urllib.parse.urlsplit(f"//{self.headers.get('Host', '')}").hostname or ""
        except ValueError:
            self.send_error(HTTPStatus.BAD_REQUEST, "the Host header is no host")
            return
        if self._local and not _is_loopback(name):
            self.send_error(HTTPStatus.FORBIDDEN, "this server answers to its own address only")
            return
        content = self._content(urllib.parse.unquote(urllib.parse.urlsplit(self.path).path))
        if content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        self.end_headers()
        if body:
            self.wfile.write(content)

    def _content(self, path: str) -> bytes | None:
        """Return the page of a path; names are looked up in a list of what is there, so none can lead elsewhere."""
        if path in ("/", "/index.html"):
            report = self._results / "report" / "index.html"
            return self._read(report)
        pages = {
            page.name: page for page in sorted((self._results / "predictions").glob("*.html")) if self._inside(page)
        }
        if path in ("/predictions", "/predictions/"):
            items = "".join(
                f'<li><a href="/predictions/{urllib.parse.quote(n)}">{html.escape(n)}</a></li>' for n in pages
            )
            text = items or "<li>none yet: run <code>avzsl predict ... --html</code></li>"
            return f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark"><title>avzsl: predictions</title><h1>Predictions</h1><ul>{text}</ul><p><a href="/">The report</a></p></html>'.encode()
        page = pages.get(path.removeprefix("/predictions/")) if path.startswith("/predictions/") else None
        return self._read(page) if page is not None else None

    def _read(self, page: Path) -> bytes | None:
        return page.read_bytes() if self._inside(page) else None

    def _inside(self, page: Path) -> bool:
        """Return whether a page is a file of the results folder, not a link out of it."""
        return page.is_file() and page.resolve().is_relative_to(self._results)

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug("%s %s", self.address_string(), format % args)
