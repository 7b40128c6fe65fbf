"""Are the results of two runs the same? Files that hold times are compared without them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

# Columns and keys that say when, how long and where; everything else must be equal. A record's checksum is over its times too.
TIMES = {
    "fetched_at",
    "seconds",
    "time",
    "times_s",
    "started",
    "finished",
    "created",
    "host",
    "device_name",
    "checksum",
}
# Not results: locks, and what is kept to go on after an interruption.
WORKING = {".lock", ".jsonl", ".corrupt"}


def results(folder: Path) -> dict[str, Path]:
    """Return the result files below `folder`/results by their names there."""
    root = folder / "results"
    files = (path for path in root.rglob("*") if path.is_file())
    # Event files are for watching: their names and content hold host and time, and history.parquet has their numbers.
    kept = (p for p in files if p.suffix not in WORKING and p.name not in WORKING and "tensorboard" not in p.parts)
    # What a process was writing when it was killed; a later run removes it.
    kept = (p for p in kept if not p.name.startswith(".avzsl-unfinished-"))
    return {str(p.relative_to(root)): p for p in kept}


def differences(one: Path, other: Path) -> list[str]:
    """Return the names of result files that differ between two project folders, each with the reason."""
    ours, theirs = results(one), results(other)
    found = [f"{name}: only in one of the two" for name in sorted(ours.keys() ^ theirs.keys())]
    for name in sorted(ours.keys() & theirs.keys()):
        if ours[name].read_bytes() == theirs[name].read_bytes():
            continue
        a, b = _content(ours[name]), _content(theirs[name])
        if a is None or a != b:
            found.append(f"{name}: {_where(a, b)}")
    return found


def _content(path: Path) -> Any:
    """Return a file's content without times, or None where only equal bytes will do."""
    if path.suffix == ".parquet":
        return _plain(pd.read_parquet(path).to_dict("list"))
    if path.suffix == ".csv":
        return _plain(pd.read_csv(path).to_dict("list"))
    if path.suffix == ".json":
        return _plain(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".html":
        # The page embeds the tables compared above; here only that both say as much.
        return re.sub(
            r"[0-9][0-9.,:e+-]*", "0", re.sub(r"<script.*?</script>", "", path.read_text(encoding="utf-8"), flags=re.S)
        )
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return "nan" if isinstance(value, float) and value != value else value  # noqa: PLR0124 (nan equals nan here)


def _where(a: Any, b: Any) -> str:
    if isinstance(a, dict) and isinstance(b, dict):
        return ", ".join(str(key) for key in sorted(a.keys() | b.keys(), key=str) if a.get(key) != b.get(key))
    return "other bytes"
