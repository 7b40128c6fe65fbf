"""The clips that the page shows, each once, within a budget of bytes."""

from __future__ import annotations

import logging
import os
import urllib.parse
from pathlib import Path
from typing import Any

import av

from avzsl.report import previews
from avzsl.report.results import BenchmarkFiles
from avzsl.runtime.progress import progress

logger = logging.getLogger(__name__)


class ClipBook:
    """Numbers the clips that figures and galleries refer to, and makes previews of those asked for.

    `out` is the page: media files are linked relative to it.
    """

    def __init__(self, out: Path) -> None:
        self._folder = out.resolve().parent
        self._numbers: dict[tuple[str, str], int] = {}
        self._paths: list[Path | None] = []
        self._wanted: dict[int, int] = {}  # number -> rank
        self.entries: list[dict[str, Any]] = []
        self.failed = 0

    def number(self, benchmark: BenchmarkFiles, clip_id: str, class_name: str, preview: int | None = None) -> int:
        """Return the number of a clip on this page; `preview` asks for its preview, small numbers are served first."""
        key = (benchmark.config.dataset, clip_id)
        if key not in self._numbers:
            self._numbers[key] = len(self.entries)
            path = self._path(benchmark, clip_id)
            self._paths.append(path)
            entry = {"id": clip_id, "class": class_name}
            if path is not None:
                entry["file"] = urllib.parse.quote(os.path.relpath(path.resolve(), self._folder))
            self.entries.append(entry)
        number = self._numbers[key]
        if preview is not None:
            self._wanted[number] = min(preview, self._wanted.get(number, preview))
        return number

    def _path(self, benchmark: BenchmarkFiles, clip_id: str) -> Path | None:
        stored = benchmark.media_paths.get(clip_id)
        return Path(stored) if stored and Path(stored).is_file() else None

    def make_previews(self) -> None:
        """Fill the entries with previews until the budget of the page is used up."""
        there = sorted((n for n in self._wanted if self._paths[n] is not None), key=lambda n: self._wanted[n])
        if not there:
            return
        video = pictures = 0
        with progress("previews", len(there)) as ticker:
            for number in there:
                path = self._paths[number]
                entry = self.entries[number]
                if path is not None and pictures < previews.PICTURE_BYTES:
                    try:
                        preview = previews.make_preview(path)
                    except (av.FFmpegError, OSError, ValueError) as error:
                        # Extraction read this file, so a failure here is odd but no reason to lose the page.
                        logger.warning("%s: no preview: %s", path, error)
                        self.failed += 1
                    else:
                        for key, content in (("picture", preview.picture), ("spectrogram", preview.spectrogram)):
                            if content is not None:
                                entry[key] = previews.data_url("image/jpeg", content)
                                pictures += len(content)
                        if video + len(preview.video) <= previews.VIDEO_BYTES:
                            entry["video"] = previews.data_url("video/mp4", preview.video)
                            video += len(preview.video)
                ticker.advance()

    @property
    def counts(self) -> dict[str, int]:
        """Clips asked for, clips whose media are kept, and clips that play on the page."""
        return {
            "wanted": len(self._wanted),
            "kept": sum(self._paths[n] is not None for n in self._wanted),
            "playable": sum("video" in entry for entry in self.entries),
        }
