"""Which labels of the networks of the extra [pretrained] name a class, a kind of it, or what it is a kind of.

AudioSet and ImageNet-1k come with synonyms and broader names (`avzsl.pretrained.label_sets`), so more can be said of them than
of a bare list: a beagle is a dog, and an electric guitar a guitar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

import pandas as pd

from avzsl.pretrained.label_sets import LABEL_SETS, labels_of
from splits.overlap import COLUMNS, GENERIC, STOP, compare, label_forms, stems, words


def tagged_classes(classes: pd.DataFrame, label_sets: Iterable[str] = tuple(LABEL_SETS)) -> pd.DataFrame:
    """Return the labels that name a class of `classes` (class_name, phrase): COLUMNS of `splits.overlap`, sorted.

    `exact`: the same words as the label or a synonym; `word`: the class name holds the label; `alias`: the label is a kind of
    the class, by its last words (electric guitar) or by the names above it (beagle, dog).
    """
    rows: list[tuple[str, ...]] = []
    for name in label_sets:
        for class_name, phrase in zip(classes["class_name"], classes["phrase"], strict=True):
            for own in dict.fromkeys((str(phrase), str(class_name))):
                rows += [(class_name, name, *found) for found in _labels(own, name)]
    frame = pd.DataFrame(rows, columns=COLUMNS).drop_duplicates(COLUMNS[:3])
    return frame.sort_values(COLUMNS, ignore_index=True)


def _labels(own: str, label_set: str) -> Iterable[tuple[str, str, str]]:
    """Yield label, kind and evidence for one name of a class."""
    core = words(own) - GENERIC or words(own)
    if not core:
        return
    for label, readings, tails, broader in _index(label_set):
        for reading in readings:
            found = next((f for form in label_forms(reading) if (f := compare(own, reading, form))), None)
            if found is not None:
                yield label, found[0], found[1] if reading == label else f"{reading}: {found[1]}"
                break
        else:
            if core in broader:
                yield label, "alias", f"a kind of {broader[core]}"
            elif any(len(core) <= len(tail) and core == frozenset(tail[-len(core) :]) for tail in tails):
                yield label, "alias", "its last words are the class"


@cache
def _index(label_set: str) -> tuple[tuple[str, tuple[str, ...], list[list[str]], dict[frozenset[str], str]], ...]:
    """Return for every label its readings, the stems of each up to a preposition, and broader names by their stems."""
    rows = []
    for label in labels_of(label_set):
        readings = (label.name, *label.also)
        tails = []
        for reading in readings:
            tails += [stems(reading), stems(re.sub(r"\([^)]*\)", " ", reading))]
            parts = re.split(rf"\b(?:{'|'.join(sorted(STOP))})\b", reading.lower())
            tails.append(stems(parts[0]))
        rows.append((label.name, readings, [t for t in tails if t], {words(b): b for b in reversed(label.broader)}))
    return tuple(rows)
