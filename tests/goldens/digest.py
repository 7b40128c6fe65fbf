"""Numbers that stand for arrays: enough of them to see a change, few enough to keep."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

SAMPLE = 12


def digest(array: Any) -> dict[str, Any]:
    """Return shape, sum, norm and entries spread evenly over an array, in float64."""
    x = np.asarray(array, np.float64)
    flat = x.ravel()
    at = np.linspace(0, max(flat.size - 1, 0), min(SAMPLE, flat.size)).astype(int)
    # Entries are weighed by their place, so that an exchange of two changes the sum.
    place = np.cos(np.arange(flat.size))
    return {
        "shape": list(x.shape),
        "sum": _short(float(flat @ place)),
        "norm": _short(float(np.linalg.norm(flat))),
        "sample": [_short(float(v)) for v in flat[at]],
    }


def lines(rows: Iterable[Iterable[Any]]) -> dict[str, Any]:
    """Return the number, the hash and a few of the rows of a table, in their order."""
    text = ["\t".join(str(v) for v in row) for row in rows]
    return {
        "rows": len(text),
        "sha256": hashlib.sha256("\n".join(text).encode()).hexdigest(),
        "some": text[:: max(1, len(text) // 4)][:5],
    }


def _short(value: float) -> float:
    return float(f"{value:.13g}")
