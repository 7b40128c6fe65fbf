"""Fetch the clips of one shard."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from avzsl.acquisition.clip import Clip, clips_of
from avzsl.acquisition.errors import AcquisitionError
from avzsl.acquisition.journal import Journal, Record, from_manifest, journal_path, read_journal, write_journal
from avzsl.acquisition.one import Fetcher
from avzsl.acquisition.place import full_disk_said, sweep
from avzsl.acquisition.sandbox import SandboxPool
from avzsl.acquisition.sources.build import build_sources
from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.errors import DataError
from avzsl.contracts.schemas import MEDIA
from avzsl.contracts.tables import read_table, write_table
from avzsl.runtime.locks import exclusive
from avzsl.runtime.progress import Ticker, progress

logger = logging.getLogger(__name__)

# The columns of the manifest that features depend on.
_SUBSTANCE = ["clip_id", "status", "path", "sha256"]


def fetch_shard(
    clips: pd.DataFrame,
    dataset_name: str,
    dataset: DatasetConfig,
    media_dir: Path,
    manifest: Path,
    *,
    shard: int,
    workers: int | None = None,
    state: Path,
    cache: Path | None = None,
    reopen: frozenset[str] = frozenset(),
    replaced: frozenset[str] = frozenset(),
) -> pd.DataFrame:
    """Get every clip of a shard that can be had, and write the shard's MEDIA table to `manifest`.

    `clips` is a CLIPS table; `media_dir` is this shard's own folder; `state` holds what all processes of the
    machine share (pace, cool-down); archives are unpacked to `cache` (default: `archives` beside the folder of the
    media folders). `workers` clips are fetched at the same time; by default as many as the pace of the remote sources
    allows, and one at a time from local sources. Failures whose status is in `reopen` are asked again even if they are permanent. Interrupted at any point, the next call goes on from the journal beside the
    manifest: good files are looked at again by size and time, permanent failures are not asked again, failures that
    may pass are. Returns the table, one row a clip in the order of `clips`.

    `replaced`: files that are known to be others than they were, whatever their size and time say.

    Raises StoppedError when nothing succeeds any more, AcquisitionError when a source is not there, the disk
    is full, another process works on the shard or more than `media.max_failed_share` of the clips failed (the
    manifest is written then), ConfigError for a wrong source.
    """
    media_dir, manifest = Path(media_dir), Path(manifest)
    wanted = list(clips_of(clips))
    _check_unique(wanted, manifest)
    stop = threading.Event()
    cache = media_dir.parent.parent / "archives" if cache is None else cache
    sources = build_sources(dataset_name, dataset, Path(state), cache, stop)
    busy = AcquisitionError(f"{manifest}: another process is fetching this shard; wait for it or stop it")
    with (
        full_disk_said(manifest.parent),
        exclusive(manifest.with_suffix(".lock"), busy),
        # Two projects may share a data folder.
        exclusive(media_dir.with_name(f"{media_dir.name}.lock"), busy),
    ):
        media_dir.mkdir(parents=True, exist_ok=True)
        sweep(media_dir)
        journal_file = journal_path(manifest)
        records = _known(wanted, manifest, journal_file, [source.name for source in sources])
        for clip in wanted if replaced else ():
            record = records.get(clip.clip_id)
            if record is not None and _among(clip, record, replaced):
                del records[clip.clip_id]
        for record in records.values():
            record.findings = {name: f for name, f in record.findings.items() if f.status not in reopen}
        sandboxes = SandboxPool(dataset.media.time_limit_s)
        try:
            for source in sources:
                source.open()
            with Journal(journal_file) as journal:
                fetcher = Fetcher(sources, dataset.media, media_dir, journal, sandboxes, stop)
                streams = workers or max((source.parallel for source in sources), default=1)
                with progress(f"{dataset_name} shard {shard:04d}", len(wanted)) as ticker:
                    _run(wanted, records, fetcher, streams, ticker)
        finally:
            stop.set()
            sandboxes.close()
            for source in sources:
                source.close()
        done = [records[clip.clip_id] for clip in wanted]
        # What is known of clips that are not asked for now is kept: a split that is back asks nobody again.
        write_journal(journal_file, list(records.values()))
        table = pd.DataFrame([record.row(shard) for record in done], columns=list(MEDIA.columns))
        table = _write(manifest, table)
    _account(table, dataset_name, dataset, manifest, shard)
    return table


def _write(manifest: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Write the manifest; one whose media are what they were keeps its time, so that nothing is extracted again."""
    before = None
    with contextlib.suppress(DataError):
        before = read_table(manifest, MEDIA)
    moment = manifest.stat().st_mtime_ns if before is not None else 0
    write_table(manifest, table, MEDIA)
    table = read_table(manifest, MEDIA)
    if before is not None and table[_SUBSTANCE].equals(before[_SUBSTANCE]):
        os.utime(manifest, ns=(moment, moment))
    return table


def _known(wanted: list[Clip], manifest: Path, journal_file: Path, names: list[str]) -> dict[str, Record]:
    records = read_journal(journal_file)
    if not records and manifest.is_file():
        by_id = {clip.clip_id: clip for clip in wanted}
        rows: list[dict[str, Any]] = read_table(manifest, MEDIA).to_dict("records")  # type: ignore[assignment]
        records = {
            row["clip_id"]: from_manifest(row, by_id[row["clip_id"]], names) for row in rows if row["clip_id"] in by_id
        }
    return records


def _among(clip: Clip, record: Record, replaced: frozenset[str]) -> bool:
    """Return whether a clip's file, the one it has or the one that could not be used, is among those replaced."""
    ends = f"/{clip.path}" if clip.path else "\0"
    return str(record.facts.get("path")) in replaced or any(f"/{path}".endswith(ends) for path in replaced)


def _run(wanted: list[Clip], records: dict[str, Record], fetcher: Fetcher, workers: int, ticker: Ticker) -> None:
    """Fetch video after video in `workers` threads; `records` is brought up to date."""
    videos = _videos(wanted)
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="fetch") as pool:
        running: set[Future[list[Record]]] = set()
        try:
            while True:
                # A small window of work keeps memory flat and a stop quick.
                while len(running) < 2 * workers and (video := next(videos, None)) is not None:
                    known = [records.get(clip.clip_id) for clip in video]
                    running.add(pool.submit(fetcher.fetch_video, video, known))
                if not running:
                    return
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    for record in future.result():
                        records[record.clip_id] = record
                        ticker.advance()
        except BaseException:
            fetcher.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _videos(wanted: list[Clip]) -> Iterator[list[Clip]]:
    """Yield the clips of one video together, so that it is fetched once."""
    order = sorted(wanted, key=lambda clip: (clip.source_id, clip.url or "", clip.start_s or 0.0, clip.clip_id))
    for _, group in groupby(order, key=lambda clip: (clip.source_id, clip.url)):
        yield list(group)


def _check_unique(wanted: list[Clip], manifest: Path) -> None:
    twice = [clip_id for clip_id, count in Counter(clip.clip_id for clip in wanted).items() if count > 1]
    if twice:
        raise DataError(manifest, f"the catalogue lists clip {twice[0]!r} more than once")


def _account(table: pd.DataFrame, name: str, dataset: DatasetConfig, manifest: Path, shard: int) -> None:
    """Say how it went; fail the job if too much failed."""
    counts = table["status"].value_counts()
    failed = int(counts.drop("ok", errors="ignore").sum())
    said = ", ".join(f"{count} {status}" for status, count in counts.items()) or "no clips"
    logger.info("%s shard %04d: %s", name, shard, said)
    if len(table) and failed / len(table) > dataset.media.max_failed_share:
        raise AcquisitionError(
            f"{manifest}: {failed} of {len(table)} clips failed ({said}), more than media.max_failed_share = "
            f"{dataset.media.max_failed_share:g} of {name}; see the table, or raise the limit"
        )
