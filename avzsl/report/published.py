"""What the papers report, to stand beside a measured row."""

from __future__ import annotations

import re
from dataclasses import dataclass

from avzsl.published import numbers

# What people call the features of one network each.
SAME_FEATURES = {"c3dvggish": "vggishc3d"}


@dataclass(frozen=True)
class Published:
    """Percent, as printed; None where the source prints no such number."""

    seen: float | None
    unseen: float | None
    hm: float | None
    zsl: float | None
    source: str


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def find_published(dataset: str, features: str, method: str) -> Published | None:
    """Return the published row for a method on a data set and kind of features, or None.

    Names are compared without case and punctuation, by their beginning for data sets and features: `ucf101` with
    `selavi-random` is compared with the paper's UCF-GZSL on SeLaVi features. That the weights, clips or split may
    differ is for the page to say, so that nobody takes the difference for a failed reproduction.
    """
    wanted = _plain(features)
    wanted = next((SAME_FEATURES[key] for key in SAME_FEATURES if wanted.startswith(key)), wanted)
    for row in numbers():
        if (
            row.task == "classification"
            and _plain(dataset).startswith(_plain(row.dataset))
            and wanted.startswith(_plain(row.features))
            and _plain(method) == _plain(row.method)
        ):
            return Published(row.seen, row.unseen, row.hm, row.zsl, row.place)
    return None
