"""Copies: held-out clips whose file or decoded content a clip that is trained on holds as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from avzsl.contracts.mapped import give_back

# Nearly the same content: cosine of the features of sound and of picture, each less its mean over all clips, above
# this, and lengths that differ by no more than SECONDS.
COSINE = 0.9999
SECONDS = 0.05
# With fewer dimensions unlike clips are nearly parallel by chance.
FEWEST_DIMENSIONS = 8
# Rows of the checks that are kept, as in an audit.
ROWS = 1000
# Rows that are read at once, candidates that are listed at once, and that are compared of one clip at once: memory
# stays below some hundred megabytes beyond the features, whatever their number.
CHUNK, LISTED, FIRST = 4096, 1_000_000, 8
# Directions of each modality that candidates are looked for in.
DIRECTIONS = 8
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
    space = _Space(arrays, clips["row"].to_numpy(), clips["length"].to_numpy(float))
    subset, ids = (clips[name].to_numpy() for name in ("subset", "clip_id"))
    for held_out, (others, _) in AGAINST.items():
        mine, theirs = np.flatnonzero(subset == held_out), np.flatnonzero(np.isin(subset, others))
        known = clips.iloc[theirs].dropna(subset=["sha256"]).drop_duplicates("sha256").set_index("sha256")["clip_id"]
        same = clips["sha256"].iloc[mine].map(known)
        done = dict(zip(mine[same.notna().to_numpy()], same.dropna(), strict=True))
        found += [(ids[row], held_out, other, "same file") for row, other in done.items()]
        rest = np.array([row for row in mine if row not in done], dtype=np.int64)
        near = space.first_near(rest, theirs)
        found += [(ids[row], held_out, ids[near[row]], "near copy") for row in sorted(near)]
    return pd.DataFrame(found, columns=["clip_id", "subset", "other", "how"])


class _Space:
    """Clips as points that are no further apart than their features: near copies are looked for among neighbours.

    A point holds some directions of the unit vectors of sound and of picture, and the length, scaled so that a near copy
    differs by at most REACH in each of the three. What is near in it is compared in full.
    """

    REACH = float(np.sqrt(2 * (1 - COSINE)))  # between unit vectors of this cosine

    def __init__(self, arrays: Mapping[str, np.ndarray], rows: np.ndarray, length: np.ndarray) -> None:
        self.arrays = {name: arrays[name] for name in ("audio", "visual")}
        self.rows, self.length = rows, length
        # Both modalities must tell: one still picture, or silence, is not a copy.
        self.tells = len(rows) > 0 and all(array.shape[1] >= FEWEST_DIMENSIONS for array in self.arrays.values())
        if not self.tells:
            return
        # In the order of the file, which may be larger than memory.
        in_order = np.argsort(rows, kind="stable")
        self.parts = [in_order[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
        self.means = {name: self._mean(name) for name in self.arrays}
        generator = np.random.default_rng(0)
        # Without a length, or without a difference from the mean, a clip is a near copy of none.
        self.usable = np.isfinite(length)
        columns: list[np.ndarray] = [length[:, None] * (self.REACH / SECONDS)]
        for name, array in self.arrays.items():
            drawn = generator.standard_normal((array.shape[1], min(array.shape[1], DIRECTIONS)))
            axes = np.linalg.qr(drawn)[0].astype(np.float32)
            points = np.empty((len(rows), axes.shape[1]), dtype=np.float32)
            for part in self.parts:
                units = self._units(name, part)
                points[part] = units @ axes
                self.usable[part] &= units.any(1)
            columns.append(points)
        self.points = np.concatenate(columns, axis=1)

    def first_near(self, mine: np.ndarray, theirs: np.ndarray) -> dict[int, int]:
        """Return of each of `mine` that has near copies among `theirs` the first of these; both ascending numbers of clips."""
        if not self.tells:
            return {}
        mine, theirs = mine[self.usable[mine]], theirs[self.usable[theirs]]
        if not len(mine) or not len(theirs):
            return {}
        # Here, because every run imports this package, and this library costs it a third of a second.
        from scipy.spatial import KDTree

        tree = KDTree(self.points[theirs], balanced_tree=False)
        # A hundredth more: rounding must lose none.
        reach = 1.01 * float(np.sqrt(3)) * self.REACH
        found: dict[int, int] = {}
        for part in np.array_split(mine, -(-len(mine) // CHUNK)):
            ends = np.cumsum(tree.query_ball_point(self.points[part], reach, return_length=True))
            for listed in np.split(part, np.flatnonzero(np.diff(ends // LISTED)) + 1):
                near = tree.query_ball_point(self.points[listed], reach, return_sorted=True)
                found |= self._compare(listed, [theirs[candidates] for candidates in near])
        return found

    def _compare(self, mine: np.ndarray, candidates: Sequence[np.ndarray]) -> dict[int, int]:
        """Return the first true near copy of each clip; a few candidates at a time, as mostly the first one is it."""
        found: dict[int, int] = {}
        left, start = list(range(len(mine))), 0
        while left:
            left = [i for i in left if mine[i] not in found and len(candidates[i]) > start]
            for few in (left[i : i + CHUNK // FIRST] for i in range(0, len(left), CHUNK // FIRST)):
                others = [candidates[i][start : start + FIRST] for i in few]
                a, b = np.repeat(mine[few], [len(o) for o in others]), np.concatenate(others)
                near = np.abs(self.length[a] - self.length[b]) <= SECONDS
                for name in self.arrays:
                    near &= np.einsum("ij,ij->i", self._units(name, a), self._units(name, b)) > COSINE
                for one, other in zip(a[near][::-1], b[near][::-1], strict=True):
                    found[int(one)] = int(other)
            start += FIRST
        return found

    def _units(self, name: str, clips: np.ndarray) -> np.ndarray:
        """Return the features less their mean, with unit norm; zeros where they do not differ from it."""
        centred = self._rows(name, clips).astype(np.float32) - self.means[name]
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        return np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 1e-6)

    def _rows(self, name: str, clips: np.ndarray) -> np.ndarray:
        found = np.asarray(self.arrays[name][self.rows[clips]])
        give_back(self.arrays[name])
        return found

    def _mean(self, name: str) -> np.ndarray:
        total = sum(self._rows(name, part).sum(0, dtype=np.float64) for part in self.parts)
        return np.asarray(total / len(self.rows)).astype(np.float32)


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
