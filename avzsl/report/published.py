"""What the papers report, to stand beside a measured row."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

TABLE = Path(__file__).with_name("published.csv")


@dataclass(frozen=True)
class Published:
    """Percent, as printed; None where the source prints no such number."""

    seen: float | None
    unseen: float | None
    hm: float | None
    zsl: float | None
    source: str


@cache
def _table() -> pd.DataFrame:
    return pd.read_csv(TABLE)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def find_published(dataset: str, features: str, method: str) -> Published | None:
    """Return the published row for a method on a data set and kind of features, or None.

    Names are compared without case and punctuation, by their beginning for data sets and features: `ucf101` with
    `selavi-random` is compared with the paper's UCF-GZSL on SeLaVi features. That the weights, clips or split may
    differ is for the page to say, so that nobody takes the difference for a failed reproduction.
    """
    for row in _table().to_dict("records"):
        if (
            _plain(dataset).startswith(_plain(row["dataset"]))
            and _plain(features).startswith(_plain(row["features"]))
            and _plain(method) == _plain(row["method"])
        ):
            seen, unseen, hm, zsl = (
                None if pd.isna(row[key]) else float(row[key]) for key in ("seen", "unseen", "hm", "zsl")
            )
            return Published(seen, unseen, hm, zsl, str(row["source"]))
    return None
