"""How acquisition fails: of one clip (a `ClipError`, which becomes its row) or of the run."""

from __future__ import annotations

from avzsl.contracts.errors import AvzslError
from avzsl.contracts.secrets import hide
from avzsl.contracts.vocabulary import MEDIA_STATUS, PERMANENT_STATUS


class AcquisitionError(AvzslError):
    """A shard cannot be processed: its source is not there, another process works on it, too much failed."""


class StoppedError(AcquisitionError):
    """The run was ended early because nothing succeeds any more; running again later goes on where it stopped."""


class ClipError(Exception):
    """One clip could not be had from one source.

    `status` is a value of MEDIA_STATUS other than ok. `retry_after_s` is what the site asked for.
    """

    def __init__(self, status: str, error: str, retry_after_s: float | None = None) -> None:
        if status not in MEDIA_STATUS or status == "ok":
            raise ValueError(f"{status!r} is not a failure status")
        error = hide(error)  # journals and manifests have it from here
        super().__init__(error)
        self.status = status
        self.error = error
        self.retry_after_s = retry_after_s

    @property
    def permanent(self) -> bool:
        return self.status in PERMANENT_STATUS


def first_sentence(error: object, limit: int = 300) -> str:
    """Return an error's first line without control characters, for a manifest or a terminal.

    File names, titles and servers' answers may hold anything, escape sequences included.
    """
    text = hide(str(error)).strip() or type(error).__name__
    line = next((part for part in text.splitlines() if part.strip()), "")
    return "".join(c if c.isprintable() else "?" for c in line.encode("utf-8", "replace").decode("utf-8"))[:limit]
