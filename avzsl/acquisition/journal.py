"""What is known of every clip so far: a log beside the manifest that survives any kill.

One JSON line a finding, the last line of a clip counts. A half-written last line is ignored, so a killed job
repeats at most the clips it was working on. The manifest is made from the journal when the shard is done; the
journal stays, because it knows more: what each source said, and of which file.
"""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from avzsl.acquisition.clip import Clip
from avzsl.contracts.atomic import replacing
from avzsl.contracts.schemas import MEDIA
from avzsl.contracts.vocabulary import PERMANENT_STATUS

# Statuses from the least to the most telling, for a clip that several sources refused: a failure that may pass
# keeps the clip open, a permanent one says more than a file that is not there.
MISSING, PERMANENT, TRANSIENT = 0, 1, 2


@dataclass
class Finding:
    """What one source said of a clip: a status, and for local files which file it was said of."""

    status: str
    error: str | None = None
    file: tuple[int, int] | None = None  # size and mtime_ns

    @property
    def weight(self) -> int:
        if self.status == "missing":
            return MISSING
        return PERMANENT if self.status in PERMANENT_STATUS else TRANSIENT


@dataclass
class Record:
    """The state of one clip. `facts` holds further columns of the MEDIA table."""

    clip_id: str
    request: str  # fingerprint of what was asked for: a changed segment or address is another request
    attempts: int = 0
    findings: dict[str, Finding] = field(default_factory=dict)  # by source, in the order asked
    source: str | None = None  # the source that gave the file
    facts: dict[str, Any] = field(default_factory=dict)
    file: tuple[int, int] | None = None  # size and mtime_ns of the file, when ok

    @property
    def ok(self) -> bool:
        return self.source is not None

    @property
    def status(self) -> str:
        if self.ok:
            return "ok"
        return self._telling().status

    @property
    def permanent(self) -> bool:
        return not self.ok and self.status in PERMANENT_STATUS

    def row(self, shard: int) -> dict[str, Any]:
        """Return the clip's row of the MEDIA table."""
        error = None if self.ok else self._telling().error
        return {
            "clip_id": self.clip_id, "shard": shard, "status": self.status, "permanent": self.permanent,
            "attempts": self.attempts, "error": error, "source": self.source, **self.facts,
        }  # fmt: skip

    def _telling(self) -> Finding:
        if not self.findings:
            return Finding("missing", "no source has been asked yet")
        return max(self.findings.values(), key=lambda finding: finding.weight)  # the first of equal weight

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Read a line of the journal; raises ValueError or TypeError for anything else."""
        values = json.loads(line)
        values["findings"] = {
            name: Finding(f["status"], f["error"], tuple(f["file"]) if f["file"] else None)
            for name, f in values["findings"].items()
        }
        values["file"] = tuple(values["file"]) if values["file"] else None
        return cls(**values)


def journal_path(manifest: Path) -> Path:
    """Return where the journal of a manifest is."""
    return manifest.with_suffix(".journal.jsonl")


def read_journal(path: Path) -> dict[str, Record]:
    """Return the last record of every clip; lines that a kill left half written are skipped."""
    records: dict[str, Record] = {}
    if not path.is_file():
        return records
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            try:
                record = Record.from_json(line)
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
            records[record.clip_id] = record
    return records


def from_manifest(row: dict[str, Any], clip: Clip, source_names: list[str]) -> Record:
    """Make a record from a row of an earlier manifest whose journal is gone."""
    columns = [c.name for c in MEDIA.fields[7:]]
    facts = {name: row[name] for name in columns if row.get(name) is not None and row[name] == row[name]}
    record = Record(clip.clip_id, clip.request, int(row["attempts"]), facts=facts)
    if row["status"] == "ok":
        record.source = row["source"]
    else:
        record.findings = {name: Finding(row["status"], row["error"]) for name in source_names}
    return record


class Journal:
    """The journal, open for appending by the threads of one process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._stream = path.open("ab")
        # A kill may have left half a line: end it, so that the next record stands alone.
        if self._stream.tell() and not _ends_with_newline(path):
            self._stream.write(b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def append(self, record: Record) -> None:
        """Store a record; once this returns, a kill of the process cannot lose it."""
        line = record.to_json().encode() + b"\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()


def write_journal(path: Path, records: list[Record]) -> None:
    """Write a journal with one line a clip in place of the grown one."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.writelines(record.to_json() + "\n" for record in records)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"
