"""Why a file cannot be read. Imports no PyAV: whoever reads the configuration imports this."""

from __future__ import annotations


class MediaError(Exception):
    """A file gives no pictures and sound: `status` is one of FEATURE_STATUS, `reason` a sentence for people."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
