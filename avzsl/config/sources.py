"""Where the media of a data set come from: an ordered list, the first hit wins."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, Strict

from avzsl.config.base import Section, Several


class PaceConfig(Section):
    """How fast a remote source is asked: one budget for all processes of the machine."""

    requests_per_hour: float | None = Field(None, gt=0, description="at most this many; null: no limit")
    parallel: int = Field(4, gt=0, le=256, description="requests at the same time, over all processes")
    sleep_s: Annotated[tuple[float, float], Strict(False)] = Field(
        (0.0, 0.0), description="random pause between two requests: from, to"
    )
    attempts: int = Field(4, gt=0, description="tries of one clip in one run, while its failure may pass")
    backoff_s: float = Field(5.0, ge=0, description="pause before the second try of a clip; doubles every time")
    cool_down_s: float = Field(
        900.0, ge=0, description="pause for everybody after a 429 or a demand to sign in; doubles while they go on"
    )
    cool_downs: int = Field(
        3, gt=0, description="cool-downs in a row, with no success between, after which the run ends"
    )
    give_up_after: int = Field(
        60, gt=0, description="failed requests in a row, in all processes, after which the run ends"
    )


class TransferConfig(Section):
    """Limits of one request."""

    timeout_s: float = Field(30.0, gt=0, description="silence after which a connection is given up")
    limit_s: float = Field(1800.0, gt=0, description="time after which a transfer that drips is given up")


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
    """Files below a folder of this machine, or of a tree that another tool has downloaded."""

    kind: Literal["folder"] = Field(description="which kind of source this is")
    root: str = Field(description="the folder; ~ and environment variables are expanded")
    in_place: bool = Field(True, description="use the files where they are instead of copying them")
    search: bool = Field(
        False,
        description="look anywhere below the root for the file's name, with whatever suffix, or for `... [name].ext`",
    )


class ArchiveSource(FileSource):
    """Files in tar, zip or rar archives, which are unpacked once."""

    kind: Literal["archive"] = Field(description="which kind of source this is")
    archives: Several[str] = Field(min_length=1, description="files, globs or http(s) addresses; parts in order")
    search: bool = Field(True, description="look for the file's name anywhere in the archives; the suffix may differ")
    unpack_to: str | None = Field(None, description="where to unpack; default: archives/ beside the data set's media")
    max_unpacked_bytes: int = Field(1_000_000_000_000, gt=0, description="an archive that unpacks to more is refused")
    allow_damaged: bool = Field(False, description="take what a damaged archive holds before the damage")
    transfer: TransferConfig = Field(TransferConfig(limit_s=86_400.0), description="limits of one request")
    pace: PaceConfig = Field(PaceConfig(parallel=2), description="how fast it is asked")


class HttpSource(Section):
    """Files of a web server or a mirror of one."""

    kind: Literal["http"] = Field(description="which kind of source this is")
    name: str | None = Field(None, description="how manifests call this source; default: made from kind and place")
    url: str = Field("{url}", description="address of a clip's file, e.g. https://host/videos/{source_id}.mp4")
    trimmed: bool = Field(False, description="the files are the segments already; otherwise segments are cut from them")
    respect_opt_out: bool = Field(True, description="obey robots.txt and X-Robots-Tag: noai, noimageai")
    user_agent: str = Field("avzsl", description="sent with every request; robots.txt is read for its first word")
    proxy: SecretStr | None = Field(None, description="http, https or socks address; never logged")
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="further headers; never logged")
    transfer: TransferConfig = Field(TransferConfig(), description="limits of one request")
    pace: PaceConfig = Field(PaceConfig(), description="how fast it is asked")


class YoutubeSource(Section):
    """Videos of YouTube, or of another site that yt-dlp knows."""

    kind: Literal["youtube"] = Field(description="which kind of source this is")
    name: str = Field("youtube", description="how manifests call this source")
    url: str = Field("https://www.youtube.com/watch?v={source_id}", description="address of a clip's video")
    format: str = Field(
        "bv*[height<=360][ext=mp4]+ba[ext=m4a]/bv*[height<=480]+ba/b[height<=480]/bv*+ba/b",
        description="yt-dlp's format selection; SeLaVi sees 112 pixels, so small formats are enough",
    )
    extractors: Several[str] = Field(("youtube",), description="yt-dlp extractors that may answer")
    cookies: str | None = Field(None, description="cookies.txt; read, never written to, never logged")
    cookies_from_browser: str | None = Field(None, description="a browser's name, as yt-dlp spells it")
    proxy: SecretStr | None = Field(None, description="http, https or socks address; never logged")
    user_agent: str | None = Field(None, description="in place of yt-dlp's own")
    player_client: Several[str] = Field((), description="YouTube clients in order, as yt-dlp spells them")
    po_token: Several[SecretStr] = Field((), description="CLIENT.CONTEXT+TOKEN as yt-dlp takes them; never logged")
    extractor_args: dict[str, dict[str, Several[SecretStr]]] = Field(
        default_factory=dict,
        description="further extractor arguments, e.g. a PO-token provider's address; never logged",
    )
    sleep_requests_s: float = Field(0.75, ge=0, description="pause between yt-dlp's own requests for one video")
    licences: Several[str] | None = Field(
        None, description="take only videos whose licence contains one of these words; null: any"
    )
    transfer: TransferConfig = Field(TransferConfig(), description="limits of one request")
    # About 300 videos an hour are what a session without account gets (yt-dlp's wiki, Extractors).
    pace: PaceConfig = Field(
        PaceConfig(requests_per_hour=250, parallel=1, sleep_s=(5.0, 10.0), backoff_s=30.0),
        description="how fast it is asked",
    )


Source = Annotated[FolderSource | ArchiveSource | HttpSource | YoutubeSource, Field(discriminator="kind")]


class MediaConfig(Section):
    """Which media are fetched, and how they are kept."""

    what: Literal["used", "all"] = Field(
        "used",
        description="used: the clips that a split of a configured benchmark uses; all: every clip of the catalogue",
    )
    order: Literal["listed", "test_first"] = Field(
        "listed",
        description="test_first: test clips have shards of their own, twice as many in all, which are done first",
    )

    keep: Literal["originals", "clips", "features"] = Field(
        "clips",
        description="originals: also keep the whole videos that segments were cut from; clips: the segments alone; "
        "features: delete a clip's media once its features are stored",
    )
    max_bytes: int = Field(2_000_000_000, gt=0, description="larger files end as too_large")
    max_failed_share: float = Field(
        1.0, ge=0, le=1, description="fail a shard's job when a larger share of its clips fails"
    )
    tolerance_s: float = Field(0.5, gt=0, description="a segment that lacks more than this is shorter_than_segment")
    max_lost_share: float = Field(
        0.2, ge=0, le=1, description="a cut that loses a larger share of its frames or its sound to damage is corrupt"
    )
    crf: int = Field(18, ge=0, le=51, description="quality of cut segments (x264's constant rate factor)")
    time_limit_s: float = Field(120.0, gt=0, description="a decoder that takes longer over one file is ended: corrupt")

    @property
    def parts(self) -> int:
        """How many shards each shard of the catalogue becomes."""
        return 2 if self.order == "test_first" else 1
