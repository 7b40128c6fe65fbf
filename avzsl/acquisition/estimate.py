"""How long and how large an acquisition will be."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from avzsl.config.dataset import DatasetConfig, source_configs
from avzsl.config.sources import FolderSource, HttpSource, YoutubeSource

# A second of a 360-line cut at the default quality, and seconds of a whole file of unknown length: guesses that
# stand until a hundred clips have been fetched and their mean is known.
_BYTES_A_SECOND = 90_000
_UNKNOWN_S = 10.0
# Seconds of work for a video where no budget sets the pace.
_UNPACED_S = 1.0
_ENOUGH = 100


@dataclass(frozen=True)
class Estimate:
    """What is left to do: clips, their videos, hours at the configured pace, bytes on disk."""

    clips: int
    videos: int
    hours: float
    bytes: float
    measured: bool  # from clips fetched so far, not from a guess

    def __str__(self) -> str:
        basis = "measured" if self.measured else "a guess until clips have been fetched"
        return f"{self.clips} clips of {self.videos} videos: about {self.hours:.1f} h and {self.bytes / 1e9:.1f} GB ({basis})"


def estimate(name: str, dataset: DatasetConfig, clips: pd.DataFrame, media: pd.DataFrame) -> Estimate:
    """Estimate what the clips of `clips` (CLIPS) that `media` (MEDIA) does not settle will take.

    The first source sets the pace: it is asked for everything. Raises ConfigError if there is no source.
    """
    settled = set(media.loc[media["permanent"].astype(bool) | (media["status"] == "ok"), "clip_id"])
    left = clips[~clips["clip_id"].isin(settled)]
    videos = int(left["source_id"].nunique())
    source = source_configs(name, dataset)[0]
    seconds_each = _UNPACED_S
    if isinstance(source, HttpSource | YoutubeSource):
        pace = source.pace
        budget = 3600.0 / pace.requests_per_hour if pace.requests_per_hour else 0.0
        # A segment needs about three ranges of its file; a video of yt-dlp counts once.
        needed = 1 if isinstance(source, YoutubeSource) else 3
        seconds_each = max(needed * max(budget, sum(pace.sleep_s) / 2), _UNPACED_S / pace.parallel)
    good = media[media["status"] == "ok"]
    if isinstance(source, FolderSource) and source.in_place and left["start_s"].isna().all():
        return Estimate(len(left), videos, videos * 0.01 / 3600, 0.0, True)
    if len(good) >= _ENOUGH:
        size = float(good["bytes"].mean())
    else:
        lengths = (left["end_s"] - left["start_s"].fillna(0.0)).astype(float).fillna(_UNKNOWN_S)
        size = float(lengths.mean()) * _BYTES_A_SECOND if len(left) else 0.0
    # With keep: features only the shards under way are on disk at a time; sixteen of them are plenty.
    kept = len(left) if dataset.media.keep != "features" else min(len(left), 16 * 256)
    return Estimate(len(left), videos, videos * seconds_each / 3600, kept * size, len(good) >= _ENOUGH)
