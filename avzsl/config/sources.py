"""Where the media of a data set come from: an ordered list, the first hit wins."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from avzsl.config.base import Section


class FolderSource(Section):
    """Files below a folder; `path` of the clips table is relative to it."""

    kind: Literal["folder"]
    root: str = Field(description="the folder; ~ and environment variables are expanded")
    in_place: bool = Field(True, description="use the files where they are instead of copying them")


Source = Annotated[FolderSource, Field(discriminator="kind")]


class MediaConfig(Section):
    """How media are fetched and kept."""

    keep: Literal["clips", "features"] = Field(
        "clips", description="features: delete a clip's media once its features are stored"
    )
    max_bytes: int = Field(2_000_000_000, gt=0, description="larger files end as too_large")
    max_failed_share: float = Field(
        1.0, ge=0, le=1, description="fail a shard's job when a larger share of its clips fails"
    )
