"""The row order of class embeddings in the released loaders, for comparison."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources

import numpy as np

from avzsl.contracts.class_embeddings import ClassEmbeddings
from avzsl.contracts.errors import ConfigError

# Of a data set's names: with fewer in common it is another data set, with more it claims to be that one.
RECOGNISED = 0.5


@cache
def class_lists() -> dict[str, dict[str, str]]:
    """Return data set -> class name -> phrase of the four published data sets, all of their classes.

    Names and phrases are facts: the class lists of UCF101, ActivityNet 1.3, VGGSound and AudioSetZSL, and the words
    whose vectors were released for them.
    """
    lists: dict[str, dict[str, str]] = {}
    text = (resources.files("avzsl.benchmark") / "class_lists.csv").read_text(encoding="utf-8")
    for row in csv.DictReader(text.splitlines()):
        lists.setdefault(row["data_set"], {})[row["class_name"]] = row["phrase"]
    return lists


def released_order(phrases: Mapping[str, str]) -> dict[str, str]:
    """Return the phrases of all classes that decide the released order, given those of a catalogue's classes.

    A catalogue of a published data set, whole or not, takes the order of the whole data set: a row's number depends on
    every class. Any other data set is its own: its catalogue lists all its classes.
    Raises ConfigError if names are neither, so that no order can be established.
    """
    for data_set, known in class_lists().items():
        plain = {_plain(name): name for name in known}
        common = {name: plain[_plain(name)] for name in phrases if _plain(name) in plain}
        if len(common) < RECOGNISED * len(phrases):
            continue
        if len(common) < len(phrases):
            strange = sorted(set(phrases) - set(common))
            raise ConfigError(
                f"class_rows as_released: {len(common)} of {len(phrases)} classes are those of {data_set}, but "
                f"{strange[0]!r} is not, so the released order cannot be established; use its own names, or class_rows: aligned"
            )
        # As the catalogue spells them; the others as the data set does.
        spelt = {official: name for name, official in common.items()}
        return {spelt.get(name, name): phrase for name, phrase in known.items()}
    return dict(phrases)


def _plain(name: str) -> str:
    """Return a name without what people spell differently."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def released_rows(phrases: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Return, for each class, the class whose vector the released loaders give it (D1).

    They sort the vectors by the display phrase and take row number i for class id i, but ids come from sorting the
    class names. Where the two orders differ, a class trains and is tested with another class's vector.
    """
    by_phrase = sorted(names, key=lambda name: phrases.get(name, name))
    return dict(zip(sorted(by_phrase), by_phrase, strict=True))


def catalogue_rows(embeddings: ClassEmbeddings) -> dict[str, str]:
    """Return `released_rows` of the classes of a data set, in the order of the whole data set (`released_order`)."""
    own = dict(zip(embeddings.class_names, embeddings.phrases, strict=True))
    order = released_order(own)
    return {name: other for name, other in released_rows(order, order).items() if name in own}


def class_vectors(embeddings: ClassEmbeddings, class_names: Sequence[str], class_rows: str) -> np.ndarray:
    """Return (names, dim) vectors: each class's own (`aligned`), or what the released loaders give it (`as_released`).

    Raises AvzslError that names a class without an embedding, ConfigError if the released order cannot be established.
    """
    if class_rows == "aligned":
        return embeddings.rows(class_names)
    of = catalogue_rows(embeddings)
    absent = sorted({of[name] for name in class_names} - set(embeddings.class_names))
    if absent:
        raise ConfigError(
            f"class_rows as_released: the released order needs the vector of {absent[0]!r}, which has none here; make "
            "the catalogue of the whole data set (its list of clips, not a folder of some), or use class_rows: aligned"
        )
    return embeddings.rows([of[name] for name in class_names])
