"""Clips that are used although their picture stands still or their sound is silent: counted, for the audit."""

from __future__ import annotations

from typing import Any

import pandas as pd

from avzsl.benchmark.copies import ROWS
from avzsl.contracts.notes import SILENT, STILL

ODD = {
    "still_pictures": (STILL, "used clips whose picture never changes"),
    "silent_clips": (SILENT, "used clips whose sound is all zero"),
}


def odd_checks(clips: pd.DataFrame, manifest: pd.DataFrame, media: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return one row for still pictures and one for silent clips, in the form of an audit's checks.

    `clips` is BENCHMARK_CLIPS, `manifest` FEATURES and `media` MEDIA by clip_id, None
    where nothing was fetched. What only decoding shows stands in the
    note of a clip that acquisition cut, and in the reason of one whose features were made of a whole file. Clips that
    were decoded by neither, such as those with imported features, are not counted among the checked ones.
    """
    used = clips.loc[clips["usable"], ["clip_id", "subset"]]
    notes = manifest.set_index("clip_id")["reason"].fillna("")
    decoded = set(manifest.loc[manifest["frames"].notna(), "clip_id"])
    if media is not None:
        decoded |= set(media.index[media["lost_frames"].notna()])
        # A cut clip is decoded again for its features: both say the same, and it counts once.
        notes = notes.str.cat(media["note"].reindex(notes.index).fillna(""), sep="; ")
    checked = used[used["clip_id"].isin(decoded)].sort_values("clip_id")
    own = checked["clip_id"].map(notes)
    checks = []
    for name, (word, title) in ODD.items():
        found = checked[own.str.contains(rf"(?:^|; ){word}:", regex=True)]
        without = len(used) - len(checked)
        note = "not checked: no clip was decoded, the features came ready-made" if not len(checked) else ""
        checks.append(
            {
                "name": name, "title": title, "count": len(found) if len(checked) else None,
                "total": len(checked) or len(used),
                "examples": [f"{clip} ({subset})" for clip, subset in found.head(ROWS).itertuples(index=False)],
                "note": note or (f"{without} more were not decoded here" if without else ""), "limit": None, "passed": True,
            }
        )  # fmt: skip
    return checks
