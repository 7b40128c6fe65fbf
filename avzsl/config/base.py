"""What every section shares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict

from avzsl.contracts.secrets import without_secrets

# The two faiths of docs/fidelity.md: as the released code behaves, or as the papers say.
Preset = Literal["as_released", "corrected"]

# Names that become parts of paths and of Snakemake wildcards.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]

# A part that comes with avzsl, one that an installed package registers, or package.module (`avzsl.config.plugins`).
PartName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_]*)*$", max_length=200)]

Item = TypeVar("Item")
# A list in YAML, which knows no tuples.
Several = Annotated[tuple[Item, ...], Strict(False)]


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values never change, a number in quotes is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


class Part(Section):
    """A section whose further keys are the options of what it names."""

    model_config = ConfigDict(extra="allow")

    @property
    def options(self) -> dict[str, Any]:
        """The further keys as they were given; `avzsl.config.plugins.typed` checks them."""
        return dict(self.model_extra or {})


@dataclass(frozen=True)
class Local:
    """Marks a key whose value names something on this machine that must be there before anything runs."""

    what: Literal["file", "folder", "file or folder"]


LocalFile = Annotated[str, Local("file")]
LocalFolder = Annotated[str, Local("folder")]
LocalPlace = Annotated[str, Local("file or folder")]

# The address of a download: it stands in records as it is, so that secrets are environment variables.
DownloadAddress = Annotated[str, AfterValidator(without_secrets)]


def expand(path: str) -> Path:
    """Return a path of the configuration with ~ and environment variables expanded."""
    return Path(os.path.expandvars(path)).expanduser()


def local_paths(section: BaseModel) -> Iterator[tuple[str, Local, Path]]:
    """Yield, for every key of a section that is marked `Local` and given, its dotted name, the mark and the path."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        marks = [mark for mark in field.metadata if isinstance(mark, Local)]
        if isinstance(value, dict) and marks:
            yield from ((f"{name}.{key}", marks[0], expand(path)) for key, path in value.items())
        elif isinstance(value, BaseModel):
            for key, mark, path in local_paths(value):
                yield f"{name}.{key}", mark, path
        elif isinstance(value, str) and value and marks:
            yield name, marks[0], expand(value)
