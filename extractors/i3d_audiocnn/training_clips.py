"""Which clips the audio network may hear: those of stage 1's training subset, whose classes are seen, and no others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_text, sha256_value

HELD = ("test_seen", "test_unseen")


@dataclass(frozen=True)
class HeardClip:
    """A clip with its class, source, file and the checksum of its bytes."""

    clip_id: str
    class_name: str
    source_id: str
    path: Path
    sha256: str


@dataclass(frozen=True)
class Heard:
    """Clips that train, of which some choose the epoch, and clips that nothing is learnt from (`val_seen`), all by id."""

    fit: tuple[HeardClip, ...]
    held_out: tuple[HeardClip, ...]
    shown: tuple[HeardClip, ...]

    @property
    def class_names(self) -> list[str]:
        return sorted({clip.class_name for clip in (*self.fit, *self.held_out)})

    @property
    def clips_hash(self) -> str:
        """SHA-256 of the clips that train, with class and bytes."""
        return sha256_value([(c.clip_id, c.class_name, c.sha256) for c in (*self.fit, *self.held_out)])


def choose_clips(
    split: pd.DataFrame, classes: pd.DataFrame, catalog: pd.DataFrame, media: Sequence[pd.DataFrame], *, where: Path,
    disjoint: bool, held_out: float,
) -> Heard:  # fmt: skip
    """Return the clips that the audio network may hear; the tables are SPLIT, SPLIT_CLASSES, CLIPS and MEDIA.

    `where` is the split's file, for messages; `disjoint` says that the split claims to keep sources apart; `held_out` is the
    share of the sources whose clips choose the epoch. What is not trained on decides nothing.
    Raises DataError if a training clip is of a class that is not seen in stage 1, of another class than the catalogue
    says, of a source that is tested where sources are claimed to be apart, or if there is no clip to train on.
    """
    train = split[split["subset"] == "train"]
    roles = dict(zip(classes["class_name"], classes["role"], strict=True))
    for clip_id, class_name in zip(train["clip_id"], train["class_name"], strict=True):
        if roles.get(class_name) != "train":
            raise DataError(
                where,
                f"would train the audio network on {clip_id!r} of the class {class_name!r}, which is not seen in stage 1 "
                f"({roles.get(class_name, 'no class of the split')}); correct the split",
            )
    listed = catalog.set_index("clip_id")[["class_name", "source_id"]]
    known = listed.reindex(train["clip_id"])
    other = train["class_name"].to_numpy() != known["class_name"].to_numpy()
    if other.any():
        raise DataError(
            where,
            f"names a class of {train['clip_id'].iloc[int(other.argmax())]!r} that is not the catalogue's; make it again",
        )
    if disjoint:
        tested = set(listed.reindex(split.loc[split["subset"].isin(HELD), "clip_id"])["source_id"])
        both = sorted(tested & set(known["source_id"]))
        if both:
            raise DataError(
                where, f"claims to keep sources apart, but {both[0]!r} is trained on and tested; correct the split"
            )
    files = pd.concat(list(media), ignore_index=True)
    there = files[files["status"] == "ok"].set_index("clip_id")

    def clips(subset: str) -> list[HeardClip]:
        rows = split[split["subset"] == subset].sort_values("clip_id")
        return [
            HeardClip(
                str(c),
                str(n),
                str(listed.at[c, "source_id"]),
                Path(str(there.at[c, "path"])),
                str(there.at[c, "sha256"]),
            )
            for c, n in zip(rows["clip_id"], rows["class_name"], strict=True)
            if c in there.index
        ]

    usable = clips("train")
    if len({clip.class_name for clip in usable}) < 2:
        raise DataError(where, "leaves fewer than two seen classes with training clips that could be fetched")
    # By a hash of their names, so that no other source has a say in which these are.
    sources = sorted({clip.source_id for clip in usable}, key=sha256_text)
    chosen = set(sources[: max(1, round(len(sources) * held_out))]) if len(sources) > 1 else set()
    names = {clip.class_name for clip in usable}
    return Heard(
        tuple(clip for clip in usable if clip.source_id not in chosen),
        tuple(clip for clip in usable if clip.source_id in chosen),
        tuple(clip for clip in clips("val_seen") if clip.class_name in names),
    )
