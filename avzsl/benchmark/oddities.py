"""What is used although a reader must know of it, for the audit: still pictures, silent clips, networks that know classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from avzsl.benchmark.copies import ROWS
from avzsl.contracts.notes import SILENT, STILL
from avzsl.contracts.vocabulary import MODALITIES
from avzsl.pretrained.label_sets import NOT_DISJOINT, UNKNOWABLE, title_of

ODD = {
    "still_pictures": ("visual", STILL, "used clips whose picture never changes"),
    "silent_clips": ("audio", SILENT, "used clips whose sound is all zero"),
}


def odd_checks(
    clips: pd.DataFrame,
    manifest: pd.DataFrame,
    media: pd.DataFrame | None,
    modalities: Collection[str] = MODALITIES,
) -> list[dict[str, Any]]:
    """Return one row for still pictures and one for silent clips, in the form of an audit's checks.

    Features of one modality alone, which `modalities` names, have one row.

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
    for name, (modality, word, title) in ODD.items():
        if modality not in modalities:
            continue
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


def open_checks(
    label_sets: Sequence[str], named: Mapping[str, Mapping[str, Sequence[str]]] | None, unseen: Collection[str]
) -> list[dict[str, Any]]:
    """Return a row for each set of labels, or other data, that the features' own networks were trained with.

    It counts the `unseen` classes that the labels name; nobody can count them where the training data have no list, and
    nobody has where `named` (label set -> class -> labels) is None.
    """
    checks = []
    for label_set in label_sets:
        unknowable = label_set in UNKNOWABLE
        known = None if unknowable or named is None else named.get(label_set, {})
        found = None if known is None else sorted(set(known) & set(unseen))
        note = "" if known is not None else NOT_DISJOINT if unknowable else "nobody has compared the names"
        checks.append(
            {
                "name": f"open_{label_set}",
                "title": f"unseen classes that the training of the features' networks names: {title_of(label_set)}",
                "count": None if found is None else len(found), "total": len(unseen),
                "examples": [f"{name}: {', '.join((known or {})[name])}" for name in (found or [])[:ROWS]],
                "note": note, "limit": None, "passed": True,
            }
        )  # fmt: skip
    return checks
