"""Nothing that a whole run writes or says holds what was secret: a hostile server repeats all that it is told."""

from __future__ import annotations

import base64
import gzip
import io
import re
import subprocess
import sys
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from avzsl.contracts.schemas import MEDIA
from avzsl.contracts.tables import read_table
from tests.workflow.small import small_environment, snakefile, write_small

ENVIRONMENT = {"AVZSL_TEST_TOKEN": "Env-v4lue-0001", "AVZSL_TEST_HEADER": "h3ader-Fr0m-env"}
IN_FILE = ("us3r-name", "p4ss-word", "qu3ry+v%2Flue", "qu3ry v/lue", "h3ader-In-file", "c00kie-Value-1")
SECRETS = (*IN_FILE, *ENVIRONMENT.values(), base64.b64encode(b"us3r-name:p4ss-word").decode())


class _Echo(BaseHTTPRequestHandler):
    """Puts the address and every header that it got into whatever an answer has room for."""

    def do_GET(self) -> None:
        heard = " ".join([self.path, *self.headers.values()])
        # A line of an answer is shown in part: each clip hears another secret first.
        heard = f"{SECRETS[zlib.crc32(self.path.encode()) % len(SECRETS)]} {heard} {' '.join(SECRETS)}"
        body = f"<html><title>{heard}</title>{heard}</html>".encode()
        kind = int((re.search(r"clip(\d)", self.path) or "00")[1])
        if kind == 0:
            self.send_response(403, heard)
        elif kind == 1:
            self.send_response(302, heard)
            self.send_header(
                "Location", f"http://{SECRETS[0]}:{SECRETS[1]}@{ENVIRONMENT['AVZSL_TEST_TOKEN']}.invalid/{heard}"
            )
        elif kind == 2:
            self.send_response(200, heard)
            self.send_header("Content-Type", f"{heard}; charset={SECRETS[0]}")
        else:
            self.wfile.write(f"HTTP/1.1 {heard}\r\n\r\n".encode())
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def contents(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield a file's bytes and those of what it holds packed: members of archives, columns of tables."""
    yield name, data
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                yield from contents(f"{name}/{member}", archive.read(member))
    elif data[:4] == b"PAR1":
        table = pq.read_table(io.BytesIO(data))
        yield f"{name} (rows)", repr([table.schema.metadata, table.to_pylist()]).encode()
    elif data[:2] == b"\x1f\x8b":
        yield from contents(f"{name} (unpacked)", gzip.decompress(data))
    elif name.endswith(".tar"):
        with tarfile.open(fileobj=io.BytesIO(data)) as tape:
            for one in tape:
                if (stream := tape.extractfile(one)) is not None:
                    yield from contents(f"{name}/{one.name}", stream.read())


def leaks(name: str, data: bytes) -> list[tuple[str, str]]:
    texts = [(inner, part.lower()) for inner, part in contents(name, data)]
    return [(inner, s) for inner, text in texts for s in SECRETS if s.lower().encode() in text]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_that_a_run_leaves_or_says_holds_a_secret(tmp_path: Path, echo: str) -> None:
    write_small(tmp_path, shards=1, tracking="tensorboard")
    (tmp_path / "cookies.txt").write_text(
        f"# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t4102444800\tsession\t{IN_FILE[5]}\n",
        encoding="utf-8",
    )
    hasty = {"attempts": 1, "backoff_s": 0.0, "cool_down_s": 0.0, "sleep_s": [0.0, 0.0], "give_up_after": 1000}
    path = tmp_path / "config/datasets/small.yaml"
    dataset = yaml.safe_load(path.read_text(encoding="utf-8"))
    # Two sources that refuse everything, each in its way; the folder has the clips.
    address = f"{IN_FILE[0]}:{IN_FILE[1]}@{echo}/{{path}}?key={IN_FILE[2]}&t=$AVZSL_TEST_TOKEN"
    headers = {"X-Key": IN_FILE[4], "Authorization": "Bearer $AVZSL_TEST_HEADER"}
    dataset["sources"] = [
        {"kind": "http", "url": f"http://{address}", "headers": headers, "respect_opt_out": False, "pace": hasty},
        {"kind": "youtube", "name": "site", "url": f"http://{address}", "extractors": ["generic"], "cookies": "cookies.txt",
         "sleep_requests_s": 0.0, "pace": {**hasty, "requests_per_hour": None}},
        {"kind": "folder", "root": "videos"},
    ]  # fmt: skip
    path.write_text(yaml.safe_dump(dataset), encoding="utf-8")
    environment = {**small_environment(), **ENVIRONMENT}

    def say(*command: str, code: int = 0) -> bytes:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == code, (command, done.stdout[-1000:], done.stderr[-3000:])
        assert not leaks(" ".join(command), done.stdout + done.stderr)
        return done.stdout + done.stderr

    say("snakemake", "-s", snakefile(), "--cores", "2")
    say("snakemake", "-s", snakefile(), "--cores", "2", "tables")
    say("snakemake", "-s", snakefile(), "--summary")
    say("snakemake", "-s", snakefile(), "--report", "own.zip")
    say("avzsl", "bundle", "results")
    say("avzsl", "diff", "results", "results", "--csv", "changed.csv")
    say("avzsl", "status")
    say("avzsl", "attrition", "small")
    assert b"source site" in say("avzsl", "doctor", "--live", code=1), "of this project, not of the demo"

    media = read_table(tmp_path / "results/small/media/0000.parquet", MEDIA)
    assert (media["status"] == "ok").all()
    journal = (tmp_path / "results/small/media/0000.journal.jsonl").read_text(encoding="utf-8")
    assert "HTTP 403" in journal and "**********" in journal, "the server did repeat them"
    given = {path, tmp_path / "cookies.txt"}
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file not in given]
    # Snakemake names its records after base64 of paths; contents are what is searched.
    assert any(".snakemake/metadata" in str(file) for file in files)
    assert any(file.suffix == ".html" for file in files) and tmp_path / "bundle.zip" in files
    found = [leak for file in files for leak in leaks(str(file.relative_to(tmp_path)), file.read_bytes())]
    assert len(files) > 60 and not found, found
