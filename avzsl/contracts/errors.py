"""Errors a user can act on."""

from __future__ import annotations

from pathlib import Path


class AvzslError(Exception):
    """An error whose message is one readable sentence: which file or key, what is wrong, what to do.

    Scripts and the command line print the message without a traceback and exit with status 1.
    Anything else that escapes is a bug and keeps its traceback.
    """


class ConfigError(AvzslError):
    """A configuration file, key or value is wrong."""


class DataError(AvzslError):
    """A data file does not hold what its contract promises."""

    def __init__(self, path: str | Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = Path(path)
        self.problem = problem


class CorruptError(DataError):
    """A file of ours is not as it was written: cut short or changed on the disk. It can be made again."""
