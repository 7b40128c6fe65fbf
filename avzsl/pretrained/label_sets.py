"""The label sets that the networks of the extra [pretrained] were trained on, with synonyms and broader names."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

# Feature sets whose networks saw these labels are open: the labels may name an unseen class.
LABEL_SETS = {"audioset": "AudioSet", "imagenet1k": "ImageNet-1k"}
# What networks were trained with that has no list of labels, so that nobody can tell which classes it names.
UNKNOWABLE = {"web_captions": "captions from the web"}
NOT_DISJOINT = "backbone not disjoint, unknowable"


def title_of(label_set: str) -> str:
    """Return what people call a label set, or other training data, of an open feature set."""
    return LABEL_SETS.get(label_set) or UNKNOWABLE.get(label_set, label_set)


@dataclass(frozen=True)
class Label:
    """One output of a network: its name, other names of the same thing, names of the kinds it belongs to."""

    name: str
    also: tuple[str, ...]
    broader: tuple[str, ...]


@cache
def labels_of(label_set: str) -> tuple[Label, ...]:
    """Return the labels of `audioset` (521) or `imagenet1k` (1000), in the order of the networks' outputs."""
    text = resources.files("avzsl.pretrained").joinpath(f"labels/{label_set}.tsv").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    return tuple(Label(row["label"], _several(row["also"]), _several(row["broader"])) for row in rows)


def _several(cell: str | None) -> tuple[str, ...]:
    return tuple(part for part in (cell or "").split("; ") if part)
