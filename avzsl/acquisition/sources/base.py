"""What every source does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from avzsl.acquisition.clip import Clip
from avzsl.acquisition.sandbox import Sandbox


@dataclass
class Work:
    """What a source may use while it fetches one clip.

    `partial` is a path in the shard's media folder that nothing else uses. `video` lives as long as the clips of
    one video are fetched, for what they share; what has a `close` there is closed at the end.
    """

    partial: Path
    sandbox: Sandbox
    max_bytes: int
    stopped: Callable[[], bool]
    video: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fetched:
    """What a source has to give.

    `path` is either `partial` (to be moved) or a file elsewhere; `in_place` leaves that one where it is. A source
    that has the segment alone says so; otherwise it is cut out.
    """

    path: Path
    suffix: str = ""  # of the kept file; default: that of `path`
    in_place: bool = False
    is_segment: bool = False
    facts: dict[str, Any] = field(default_factory=dict)


class Source(Protocol):
    """A place where media come from."""

    name: str  # as in the manifest; unique among a data set's sources
    remote: bool  # asking costs somebody else something

    def open(self) -> None:
        """Prepare for a shard; raises AcquisitionError if the source as a whole is not there."""

    def fetch(self, clip: Clip, work: Work) -> Fetched:
        """Get one clip; raises ClipError for this clip, StoppedError if none can be had any more."""

    def close(self) -> None:
        """Let go of connections and files."""
