"""One row of an audit."""

from __future__ import annotations

from dataclasses import dataclass, field

# What a check keeps of its findings: all of them but for a data set that is wrong as a whole.
ROWS = 1000


@dataclass
class Check:
    """One check: what was counted (`count` of `total`), and the first `ROWS` findings.

    `count` is None where the check could not be made; `note` says why.
    """

    name: str
    title: str
    count: int | None
    total: int
    examples: list[str] = field(default_factory=list)
    note: str = ""
    limit: float | None = None

    @property
    def share(self) -> float | None:
        if self.count is None:
            return None
        return self.count / self.total if self.total else 0.0

    @property
    def passed(self) -> bool:
        """Whether the gate, if there is one, lets this through; what could not be checked does not pass a gate."""
        return self.limit is None or (self.count is not None and self.count <= self.limit)
