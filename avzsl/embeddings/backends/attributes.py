"""The attributes of a class, annotated by people: the class embeddings of the public image benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from avzsl.config.base import LocalFolder, Section, expand
from avzsl.embeddings.backends import Vectors
from avzsl.runtime.weights import first_use


class Options(Section):
    """Whose attributes."""

    table: LocalFolder = Field(description="folder with att_splits.mat of one data set")
    original: bool = Field(
        False, description="attributes as annotated (original_att), in place of the published scaling"
    )


def vectors(options: Options, phrases: Sequence[str]) -> Vectors:
    """Read the attributes; a phrase is a class name as words."""
    from avzsl.pretrained.xlsa17 import SPLITS, phrase_of, read_classes

    folder = expand(options.table)
    found = read_classes(folder, options.original)
    rows = {phrase_of(name): row for name, row in zip(found.names, found.attributes, strict=True)}
    return Vectors(
        lambda phrase: (rows.get(phrase), [] if phrase in rows else [phrase]), options.table,
        first_use(f"{options.table}/{SPLITS}", folder / SPLITS), {"original": options.original}, "class",
    )  # fmt: skip
