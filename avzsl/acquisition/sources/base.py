"""What every source does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from avzsl.acquisition.clip import Clip
from avzsl.acquisition.errors import ClipError
from avzsl.acquisition.place import ORIGINALS
from avzsl.acquisition.sandbox import Reader, Sandbox
from avzsl.acquisition.transfer import RangeReader
from avzsl.config.sources import MediaConfig
from avzsl.contracts.hashing import safe_name


@dataclass
class Work:
    """What a source may use while it fetches one clip.

    `partial` is a path in the shard's media folder that nothing else uses. `video` lives as long as the clips of
    one video are fetched, for what they share; what has a `close` there is closed at the end.
    """

    partial: Path
    sandbox: Sandbox
    media: MediaConfig
    video: dict[str, Any] = field(default_factory=dict)

    @property
    def keep_originals(self) -> bool:
        return self.media.keep == "originals"

    def shared(self, key: str, make: Callable[[], RangeReader]) -> RangeReader:
        """Return the reader that the clips of this video share; what has been fetched once is not fetched again."""
        reader: RangeReader | None = self.video.get(f"reader {key}")
        if reader is None:
            reader = self.video[f"reader {key}"] = make()
        reader.renew()
        return reader

    def cut(self, inputs: Sequence[Path | Reader], clip: Clip) -> dict[str, Any]:
        """Cut the clip's segment out of `inputs` to `partial`; returns facts for the manifest, raises ClipError."""
        media = self.media
        try:
            return self.sandbox.cut(
                inputs, self.partial, clip.start_s, clip.end_s, crf=media.crf, tolerance_s=media.tolerance_s,
                max_lost_share=media.max_lost_share,
            )  # fmt: skip
        except ClipError as failure:
            if failure.permanent and any(isinstance(i, RangeReader) and not i.confirmed for i in inputs):
                raise ClipError("network", f"the transfer may have been cut short: {failure.error}") from failure
            raise


@dataclass(frozen=True)
class Fetched:
    """What a source has to give.

    `path` is either `partial` (to be moved) or a file elsewhere; `in_place` leaves that one where it is. A source
    that has the segment alone says so; otherwise it is cut out.
    """

    path: Path
    audio: Path | None = None  # where the sound is, if `path` holds the picture alone
    suffix: str = ""  # of the kept file; default: that of `path`
    in_place: bool = False
    is_segment: bool = False
    confirmed: bool = True  # the length of the transfer is as the server said
    facts: dict[str, Any] = field(default_factory=dict)


def original_path(media_dir: Path, clip: Clip, suffix: str) -> Path:
    """Return where the whole video of a clip is kept."""
    folder = media_dir / ORIGINALS
    folder.mkdir(exist_ok=True)
    return folder / (safe_name(clip.source_id) + suffix)


class Source(Protocol):
    """A place where media come from."""

    name: str  # as in the manifest; unique among a data set's sources
    remote: bool  # asking costs somebody else something
    parallel: int  # clips that may be fetched at the same time
    attempts: int  # tries of one clip in one run, while its failure may pass
    backoff_s: float  # pause before the second try

    def open(self) -> None:
        """Prepare for a shard; raises AcquisitionError if the source as a whole is not there."""

    def fetch(self, clip: Clip, work: Work) -> Fetched:
        """Get one clip; raises ClipError for this clip, StoppedError if none can be had any more."""

    def close(self) -> None:
        """Let go of connections and files."""
