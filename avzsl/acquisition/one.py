"""Fetch one clip: ask its sources in order, look into what comes, keep what is whole."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import random
import threading
import time
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from avzsl.acquisition.clip import Clip
from avzsl.acquisition.errors import ClipError, first_sentence
from avzsl.acquisition.journal import TRANSIENT, Finding, Journal, Record
from avzsl.acquisition.place import PARTIAL, disk_error, settle, shown, stamp, take
from avzsl.acquisition.sandbox import SandboxPool
from avzsl.acquisition.sources.base import Fetched, Source, Work
from avzsl.config.sources import MediaConfig
from avzsl.contracts.hashing import sha256_file

logger = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 600.0


class Fetcher:
    """Fetches clips of one shard; used by several threads."""

    def __init__(
        self,
        sources: Sequence[Source],
        media: MediaConfig,
        media_dir: Path,
        journal: Journal,
        sandboxes: SandboxPool,
        stop: threading.Event,
    ) -> None:
        self._sources = sources
        self._media = media
        self._media_dir = media_dir
        self._journal = journal
        self._sandboxes = sandboxes
        self.stop = stop

    def fetch_video(self, clips: Sequence[Clip], known: Sequence[Record | None]) -> list[Record]:
        """Bring the clips of one video up to date; returns their records, in the order of `clips`."""
        video: dict[str, Any] = {}
        try:
            return [self._update(clip, record, video) for clip, record in zip(clips, known, strict=True)]
        finally:
            forget(video)

    def _update(self, clip: Clip, known: Record | None, video: dict[str, Any]) -> Record:
        if known is not None and known.request != clip.request:
            known = None
        if known is not None and known.ok:
            if self._still_good(known):
                return known
            # The file is lost, but what the other sources said of it is not.
            others = {name: finding for name, finding in known.findings.items() if name != known.source}
            known = Record(clip.clip_id, clip.request, known.attempts, others)
        record = known or Record(clip.clip_id, clip.request)
        names = {source.name for source in self._sources}
        record.findings = {name: finding for name, finding in record.findings.items() if name in names}
        for source in self._sources:
            if self.stop.is_set():
                break
            finding = record.findings.get(source.name)
            if finding is not None and self._final(source, finding, clip):
                continue
            self._insist(source, clip, record, video)
            if record.ok:
                break
        return record

    def _still_good(self, record: Record) -> bool:
        """Check an ok record against its file; one stat call unless the file's time is unknown or changed."""
        path = Path(record.facts["path"])
        try:
            now = stamp(path)
        except OSError:
            return False
        if record.file == now:
            return True
        if now[0] != record.facts.get("bytes") or sha256_file(path) != record.facts.get("sha256"):
            return False
        record.file = now
        self._journal.append(record)
        return True

    def _final(self, source: Source, finding: Finding, clip: Clip) -> bool:
        """Whether a source need not be asked again: the failure is permanent, and of the same local file."""
        if not ClipError(finding.status, "").permanent:
            return False
        if finding.file is None:
            return source.remote  # looking at a local folder again costs nobody anything
        try:
            return stamp(self._fetch_local(source, clip).path) == finding.file
        except (ClipError, OSError):
            return False

    def _fetch_local(self, source: Source, clip: Clip) -> Fetched:
        return source.fetch(clip, self._work({}))

    def _work(self, video: dict[str, Any]) -> Work:
        name = f"{PARTIAL}{os.getpid()}-{threading.get_ident()}"
        return Work(self._media_dir / name, self._sandboxes.get(), self._media, video)

    def _insist(self, source: Source, clip: Clip, record: Record, video: dict[str, Any]) -> None:
        """Ask a source, again with growing pauses while its failure may pass and is not just a file that is not there."""
        for again in range(source.attempts):
            pause = min(_LONGEST_PAUSE_S, source.backoff_s * 2 ** (again - 1)) * random.uniform(0.5, 1.0)
            if again and self.stop.wait(pause):
                return
            if again:
                forget(video)  # addresses expire and servers change: look again
            self._ask(source, clip, record, video)
            if record.ok or record.findings[source.name].weight < TRANSIENT:
                return

    def _ask(self, source: Source, clip: Clip, record: Record, video: dict[str, Any]) -> None:
        """Ask one source once and note what it said."""
        work = self._work(video)
        record.attempts += 1
        record.facts = {"tools": tools(), "fetched_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        foreign: Path | None = None
        try:
            fetched = source.fetch(clip, work)
            foreign = None if fetched.path == work.partial else fetched.path
            self._keep(source, clip, fetched, work, record)
        except ClipError as failure:
            file = None
            if foreign is not None and not source.remote:
                with contextlib.suppress(OSError):
                    file = stamp(foreign)
            record.findings[source.name] = Finding(failure.status, first_sentence(failure.error), file)
        except OSError as error:
            ends = disk_error(error, self._media_dir)
            if ends is not None:
                raise ends from error
            record.findings[source.name] = Finding("network" if source.remote else "missing", first_sentence(error))
        finally:
            work.partial.unlink(missing_ok=True)
        self._journal.append(record)

    def _keep(self, source: Source, clip: Clip, fetched: Fetched, work: Work, record: Record) -> None:
        """Probe a fetched file, put it in place and complete the record; raises ClipError if it is no good."""
        path = fetched.path
        if clip.segmented and not fetched.is_segment:
            inputs = [path] if fetched.audio is None else [path, fetched.audio]
            part = dataclasses.replace(work, partial=work.partial.with_name(work.partial.name + "-cut"))
            try:
                facts = part.cut(inputs, clip)
                path = part.partial.replace(work.partial)
            finally:
                part.partial.unlink(missing_ok=True)
            fetched = Fetched(path, suffix=".mp4", is_segment=True, confirmed=fetched.confirmed, facts=facts)
        elif not fetched.in_place and path != work.partial:
            path = take(path, work.partial)
        elif fetched.in_place:
            _check_name(path)
        before = stamp(path)
        facts = work.sandbox.probe(str(path.absolute()))
        status, error = facts.pop("status"), facts.pop("error", None)
        record.facts |= {name: value for name, value in facts.items() if value is not None} | {"bytes": before[0]}
        if status == "corrupt" and not fetched.confirmed:
            raise ClipError("network", f"the transfer may have been cut short: {error}")
        if status != "ok":
            raise ClipError(status, str(error))
        self._check_length(clip, facts.get("duration_s"))
        record.facts |= {"sha256": sha256_file(path)} | fetched.facts
        if not fetched.in_place:
            final = self._media_dir / clip.file_name(fetched.suffix or fetched.path.suffix)
            settle(path, final)
            # An earlier file of the clip may have come from a source with another format.
            for old in self._media_dir.glob(f"{final.stem}.*"):
                if old != final:
                    old.unlink(missing_ok=True)
            path = final
        record.facts["path"] = shown(path)
        record.file = stamp(path)
        record.source = source.name

    def _check_length(self, clip: Clip, duration_s: float | None) -> None:
        """A segment of the wrong length is no success, whoever cut it."""
        if not clip.segmented or clip.end_s is None or duration_s is None:
            return
        asked = clip.end_s - (clip.start_s or 0.0)
        tolerance = max(self._media.tolerance_s, 0.02 * asked)
        if duration_s < asked - tolerance:
            raise ClipError("shorter_than_segment", f"the file lasts {duration_s:.2f} s of {asked:.2f} s")
        if duration_s > asked + max(1.0, 2 * tolerance):
            raise ClipError(
                "corrupt", f"the file lasts {duration_s:.2f} s where the segment has {asked:.2f} s; is `trimmed` right?"
            )


def _check_name(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ClipError(
            "corrupt", "the file's name is not UTF-8, so no table can hold it; set in_place: false"
        ) from None


def forget(video: dict[str, Any]) -> None:
    """Let go of what the clips of a video share."""
    while video:
        _, shared = video.popitem()
        if hasattr(shared, "close"):
            shared.close()


@cache
def tools() -> str:
    """Return the versions of what fetches, cuts and probes."""
    return ", ".join(f"{name} {version(name)}" for name in ("av", "yt-dlp"))
