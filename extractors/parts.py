"""The finished clips of a shard that is not: kept beside it, so that a job that ended early goes on from them.

A GPU that is lost, a time limit of the cluster or a kill then costs minutes, not the hours of the shard. Parts are files of
streams like the shard itself, every byte of them verified; what is broken, or of other settings, clips or weights, is left
aside, and its clips are extracted again.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any

from avzsl.contracts.errors import AvzslError
from avzsl.contracts.streams import read_streams, write_streams
from extractors.base import ClipInfo, Networks
from extractors.clips import Clip, streams_of
from extractors.pool import FATAL, End

logger = logging.getLogger(__name__)

# Seconds between two parts: what a kill costs at most.
EVERY_S = 120.0
# Ends that may be the machine's fault: such clips are tried again.
_AGAIN = FATAL


class Parts:
    """The parts of one shard. `key` is the hash of all that decides its features (`extractors.key.shard_key`)."""

    def __init__(self, arrays: Path, key: str, networks: Networks) -> None:
        self._folder, self._networks = arrays.with_suffix(".parts"), networks
        self._facts = json.loads(json.dumps({"key": key, "extractor": networks.identity}))
        self._written = time.monotonic()
        self._new: list[Clip] = []

    def restore(self, clips: list[Clip]) -> list[dict[str, Any]]:
        """Fill the clips that earlier attempts finished; return what their networks had `measured`, a part each."""
        wanted = {clip.row["clip_id"]: clip for clip in clips}
        found, measured = 0, []
        for path in sorted(self._folder.glob("*.safetensors")):
            try:
                streams, header = read_streams(path)
            except AvzslError as error:
                logger.warning("%s; its clips are extracted again", error)
                continue
            if {name: header.get(name) for name in self._facts} != self._facts:
                continue
            measured.append(header["measured"])
            for row, (name, end) in enumerate(zip(header["clip_ids"], header["ends"], strict=True)):
                clip = wanted.get(name)
                if clip is None:
                    continue
                found += clip.end is None
                clip.end = End(end["status"], end["reason"], ClipInfo(**end["info"]))
                for modality, stream in streams.items():
                    values, times = stream.clip(row)
                    steps = clip.steps[modality]
                    steps.values, steps.times = list(values), [(float(a), float(b)) for a, b in times]
        if found:
            logger.info("%d of %d clips are there from an attempt that ended early", found, len(clips))
        return measured

    def add(self, clip: Clip) -> None:
        """Take a finished clip; from time to time what is new is written."""
        assert clip.end is not None
        if clip.end.status not in _AGAIN:
            self._new.append(clip)
        if time.monotonic() - self._written >= EVERY_S:
            self.write()

    def write(self) -> None:
        """Write the clips that are new as one part; a disk that cannot take it costs a warning, not the job."""
        clips, self._new, self._written = self._new, [], time.monotonic()
        if not clips:
            return
        ends = [{"status": c.end.status, "reason": c.end.reason, "info": vars(c.end.info)} for c in clips if c.end]
        names = [clip.row["clip_id"] for clip in clips]
        header = {**self._facts, "clip_ids": names, "ends": ends, "measured": self._networks.measured}
        # By time, so that no attempt writes over another's.
        path = self._folder / f"{time.time_ns()}.safetensors"
        try:
            write_streams(path, streams_of(clips, self._networks, "float32"), header)
        except (OSError, AvzslError) as error:
            logger.warning("%s: finished clips are not kept (%s)", path, error)

    def clear(self) -> None:
        """Remove the parts: the shard is whole."""
        shutil.rmtree(self._folder, ignore_errors=True)
