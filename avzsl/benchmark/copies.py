"""Copies: held-out clips whose file or decoded content a clip that is trained on holds as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

# Nearly the same content: cosine of the features of sound and of picture, each less its mean over all clips, above
# this, and lengths that differ by no more than SECONDS.
COSINE = 0.9999
SECONDS = 0.05
# With fewer dimensions unlike clips are nearly parallel by chance.
FEWEST_DIMENSIONS = 8
# Rows of the checks that are kept, as in an audit.
ROWS = 1000
# Held-out clips compared at once: bounds memory at CHUNK x trained clips.
CHUNK = 512
# Held-out subset -> the subsets that it must share nothing with, and what these are called.
AGAINST = {
    "val_seen": (("train",), "a train clip"),
    "test_seen": (("train", "val_seen", "val_unseen"), "a training clip"),
    "val_unseen": (("train",), "a train clip"),
    "test_unseen": (("train", "val_seen", "val_unseen", "test_seen"), "a seen clip"),
}


def find_copies(clips: pd.DataFrame, arrays: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return held-out clips that are copies, with the first clip they are a copy of: clip_id, subset, other, how.

    `clips` are the usable clips: clip_id, subset, row (of `arrays`), sha256 (null where no media are known) and length
    in seconds (NaN: not known). `arrays` holds `audio` and `visual` (clips, dim). A held-out clip comes once for each
    subset it is held out from; equal files (`same file`) go before near ones (`near copy`).
    """
    found = []
    units = {name: _units(arrays[name], clips["row"].to_numpy()) for name in ("audio", "visual")}
    wide = [unit for unit in units.values() if unit.shape[1] >= FEWEST_DIMENSIONS]
    subset, length, ids = (clips[name].to_numpy() for name in ("subset", "length", "clip_id"))
    for held_out, (others, _) in AGAINST.items():
        mine, theirs = np.flatnonzero(subset == held_out), np.flatnonzero(np.isin(subset, others))
        known = clips.iloc[theirs].dropna(subset=["sha256"]).drop_duplicates("sha256").set_index("sha256")["clip_id"]
        same = clips["sha256"].iloc[mine].map(known)
        done = dict(zip(mine[same.notna().to_numpy()], same.dropna(), strict=True))
        found += [(ids[row], held_out, other, "same file") for row, other in done.items()]
        # Both modalities must agree: one still picture, or silence, is not a copy.
        if len(wide) < 2 or not len(theirs):
            continue
        rest = np.array([row for row in mine if row not in done], dtype=np.int64)
        for start in range(0, len(rest), CHUNK):
            part = rest[start : start + CHUNK]
            near = np.abs(length[part][:, None] - length[theirs][None]) <= SECONDS
            for unit in wide:
                near &= unit[part] @ unit[theirs].T > COSINE
            hit = np.flatnonzero(near.any(1))
            found += [(ids[part[i]], held_out, ids[theirs[near[i].argmax()]], "near copy") for i in hit]
    return pd.DataFrame(found, columns=["clip_id", "subset", "other", "how"])


def copy_checks(clips: pd.DataFrame, copies: pd.DataFrame, gates: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return one row a held-out subset, in the form of an audit's checks; `gates`: largest count that passes."""
    checks = []
    for held_out, (_, words) in AGAINST.items():
        own = copies[copies["subset"] == held_out].sort_values("clip_id")
        name = f"{held_out}_copies"
        near = int((own["how"] == "near copy").sum())
        limit = gates.get(name)
        checks.append(
            {
                "name": name, "title": f"{held_out} clips that are copies of {words}", "count": len(own),
                "total": int((clips["subset"] == held_out).sum()),
                "examples": [f"{a} is {b} ({how})" for a, b, how in own[["clip_id", "other", "how"]].head(ROWS).to_numpy()],
                "note": f"{near} of them by features alone (cosine above {COSINE}, equal length)" if near else "",
                "limit": limit, "passed": limit is None or len(own) <= limit,
            }
        )  # fmt: skip
    return checks


def _units(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the rows less their mean, with unit norm; what does not differ from the mean is a copy of nothing."""
    centred = array[rows].astype(np.float32) - array[rows].mean(0, dtype=np.float64).astype(np.float32)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 1e-6)
