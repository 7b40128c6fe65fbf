"""Where the media of a data set come from: an ordered list, the first hit wins."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from avzsl.config.base import Section


class FileSource(Section):
    """What sources of ready files share."""

    name: str | None = Field(None, description="how manifests call this source; default: made from kind and place")
    file: str = Field(
        "{path}",
        description="the file of a clip: {path}, {clip_id}, {source_id}, {class_name}, {start}, {end} (whole seconds) "
        "... as in {source_id}_{start:06d}.mp4",
    )
    trimmed: bool = Field(False, description="the files are the segments already; otherwise segments are cut from them")


class FolderSource(FileSource):
    """Files below a folder of this machine."""

    kind: Literal["folder"]
    root: str = Field(description="the folder; ~ and environment variables are expanded")
    in_place: bool = Field(True, description="use the files where they are instead of copying them")
    search: bool = Field(False, description="look for the file's name anywhere below the root; the suffix may differ")


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
    time_limit_s: float = Field(120.0, gt=0, description="a decoder that takes longer over one file is ended: corrupt")
