"""Which tests reach which lines, and how long they take: what `mutation.py` chooses tests by.

Each test file runs once under a tracer, in processes that it starts too, and its map is kept beside the checkout in
`.mutation` until the test file changes. A line is known by its file and its text, so a map outlives edits elsewhere.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import os
import re
import sys
import threading
import zlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

OUT, FILES = "AVZSL_LINES_OUT", "AVZSL_LINES_FILES"


def begin() -> None:
    """Write each line of the files of `AVZSL_LINES_FILES` that this process reaches, with the test that runs, to a file."""
    files = set(os.environ[FILES].split(os.pathsep))
    out = os.open(os.environ[OUT], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    seen: set[tuple[str, int]] = set()
    test = ""

    def local(frame: FrameType, event: str, _: Any) -> Any:
        key = (frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and key not in seen:
            seen.add(key)
            with contextlib.suppress(OSError):
                os.write(out, f"{test}\t{key[0]}\t{key[1]}\n".encode())
        return local

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal test
        if frame.f_code.co_filename not in files:
            return None
        now = os.environ.get("PYTEST_CURRENT_TEST", "")
        if now != test:
            test = now
            seen.clear()
        return local

    threading.settrace(trace)
    sys.settrace(trace)


def key(path: str, text: str) -> int:
    """Return the number by which a line of a file is known."""
    return zlib.crc32(f"{path}\t{text.strip()}".encode())


def read_log(log: Path, root: Path) -> dict[str, set[int]]:
    """Return test -> lines; what runs in the making of a fixture counts for every test of the file."""
    texts: dict[str, list[str]] = {}
    found: dict[str, set[int]] = defaultdict(set)
    for row in log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else ():
        test, path, line = row.split("\t")
        name, _, phase = test.rpartition(" ")
        if path not in texts:
            texts[path] = Path(path).read_text(encoding="utf-8").splitlines()
        if name:
            lines = found["" if phase == "(setup)" else name]
            lines.add(key(str(Path(path).relative_to(root)), texts[path][int(line) - 1]))
    return found


class Timer:
    """A plugin of pytest that notes how long each test took and which did not pass."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.outcome != "passed":
            self.failed.add(report.nodeid)


class Chosen:
    """A plugin of pytest that runs only these tests, in this order."""

    def __init__(self, tests: list[str]) -> None:
        self.rank = {test: i for i, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = sorted((i for i in items if i.nodeid in self.rank), key=lambda i: self.rank[i.nodeid])


@dataclass(frozen=True)
class Reach:
    """How long a test takes and which lines it reaches."""

    seconds: float
    lines: frozenset[int]


def digest(file: Path) -> str:
    """Return what tells one version of a test file, with the helpers beside it, from another."""
    beside = [f for f in sorted(file.parent.glob("*.py")) if not f.name.startswith("test_") or f == file]
    return hashlib.sha256(b"\0".join(f.read_bytes() for f in beside)).hexdigest()


def keep(file: Path, out: Path, timer: Timer, lines: dict[str, set[int]]) -> None:
    """Write the map of one test file."""
    shared = lines.pop("", set())
    tests = {
        test: {"seconds": round(seconds, 3), "lines": sorted(lines.get(test, set())), "fails": test in timer.failed}
        for test, seconds in timer.seconds.items()
    }
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"digest": digest(file), "shared": sorted(shared), "tests": tests}), encoding="utf-8")


def load(file: Path, kept: Path) -> dict[str, Reach] | None:
    """Return the map of one test file, or None where the file has changed since or was never run."""
    if not kept.is_file():
        return None
    data = json.loads(kept.read_text(encoding="utf-8"))
    if data["digest"] != digest(file):
        return None
    return {
        test: Reach(own["seconds"], frozenset(own["lines"]) | frozenset(data["shared"]))
        for test, own in data["tests"].items()
        if not own["fails"]
    }


def places(source: str, path: str, line: int) -> tuple[set[int], str]:
    """Return the lines that run with an expression on `line`, and the name it is bound to where it runs on import."""
    tree, texts = ast.parse(source), source.splitlines()
    inner: ast.stmt | None = None
    function = None
    for node in ast.walk(tree):  # breadth first: the last that holds the line is the innermost
        if not isinstance(node, ast.stmt) or not node.lineno <= line <= (node.end_lineno or line):
            continue
        if inner is not None and isinstance(inner, ast.FunctionDef) and line >= inner.body[0].lineno:
            function = inner
        inner = node
    assert inner is not None
    body = getattr(inner, "body", None)
    last = body[0].lineno - 1 if body else (inner.end_lineno or line)
    spans = range(inner.lineno, max(last, line) + 1)
    name = ""
    if isinstance(inner, ast.FunctionDef) and line < inner.body[0].lineno:  # a default
        spans = range(inner.body[0].lineno, (inner.end_lineno or line) + 1)
    elif function is None:
        bound = inner.targets[0] if isinstance(inner, ast.Assign) else getattr(inner, "target", None)
        name = getattr(bound, "id", "")
    return {key(path, texts[i - 1]) for i in spans if texts[i - 1].strip()}, name


def reaching(reached: dict[str, Reach], root: Path, path: str, line: int, files: Iterable[str]) -> list[str]:
    """Return the tests that reach a line of a file, the shortest first; for a constant, those that reach its uses."""
    source = (root / path).read_text(encoding="utf-8")
    wanted, name = places(source, path, line)
    if name:
        pattern = re.compile(rf"\b{re.escape(name)}\b")
        wanted = {
            key(file, text)
            for file in files
            for text in (root / file).read_text(encoding="utf-8").splitlines()
            if pattern.search(text)
        }
    own = [test for test, reach in reached.items() if wanted & reach.lines]
    if not own and name:
        every = {key(path, text) for text in source.splitlines() if text.strip()}
        own = [test for test, reach in reached.items() if every & reach.lines]
    return sorted(own, key=lambda test: reached[test].seconds)
