"""Python reads this file at its start where a test puts its folder on the path: a job notes every file that it reads.

A line of JSON for each job, in the file that AVZSL_WATCH names: rule, the files that the rule names, the files read.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

READ: set[str] = set()


def _note(path: Any) -> None:
    if isinstance(path, str | bytes | os.PathLike):
        READ.add(os.path.relpath(os.fsdecode(path)))


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if (
        event == "open" and isinstance(arguments[2], int) and not arguments[2] & (os.O_WRONLY | os.O_RDWR)
    ) or event in {"os.listdir", "os.scandir"}:
        _note(arguments[0])


def _watch_native() -> None:
    """Note what compiled libraries open; they tell Python's hook nothing."""
    import av
    import pyarrow.parquet as pq
    import safetensors

    class ParquetFile(pq.ParquetFile):
        def __init__(self, source: Any, *arguments: Any, **named: Any) -> None:
            _note(source)
            super().__init__(source, *arguments, **named)

    opened, safe_open = av.open, safetensors.safe_open

    def av_open(file: Any, mode: str | None = None, *arguments: Any, **named: Any) -> Any:
        if mode != "w":
            _note(file)
        return opened(file, mode, *arguments, **named)

    def watched(path: Any, *arguments: Any, **named: Any) -> Any:
        _note(path)
        return safe_open(path, *arguments, **named)

    pq.ParquetFile, av.open, safetensors.safe_open = ParquetFile, av_open, watched


def _said(value: Any) -> list[str]:
    """Return every text in a value of `params`."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [text for item in value for text in _said(item)] if isinstance(value, list | tuple) else []


def _write() -> None:
    job = getattr(sys.modules.get("__main__"), "snakemake", None)
    if job is None:
        return
    named = [*job.input, *job.output, *job.log, *(text for value in job.params for text in _said(value))]
    inputs = [str(name) for name in job.input]
    line = json.dumps({"rule": job.rule, "input": inputs, "named": [str(name) for name in named], "read": sorted(READ)})
    with Path(os.environ["AVZSL_WATCH"]).open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")


# A failure here must not end every Python of the test.
with contextlib.suppress(ImportError):
    _watch_native()
runpy.run_path(str(Path(__file__).parents[1] / "stub" / "sitecustomize.py"))
sys.addaudithook(_hook)
atexit.register(_write)
