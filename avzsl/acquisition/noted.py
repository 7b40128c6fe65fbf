"""Which files a shard's clips are, for whoever wants to notice that one is replaced or gone (avzsl.runtime.seals)."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from avzsl.acquisition.clip import clips_of, relative_path
from avzsl.acquisition.errors import ClipError
from avzsl.config.dataset import DatasetConfig, source_configs
from avzsl.config.sources import FolderSource
from avzsl.runtime.seals import keeps, uses


def note_media(clips: pd.DataFrame, media: pd.DataFrame, dataset_name: str, dataset: DatasetConfig, home: Path) -> None:
    """Note the files of a shard: those below its media folder `home` were fetched, others are a user's own.

    `clips` is its CLIPS table, `media` its MEDIA table. A file in a user's folder that could not be used counts too:
    it may be mended.
    """
    own = home.resolve()
    for path, sha256 in media.loc[media["status"] == "ok", ["path", "sha256"]].itertuples(index=False):
        note = keeps if own in Path(path).resolve().parents else uses
        note(path, sha256 if isinstance(sha256, str) else None)
    lost = clips[clips["clip_id"].isin(media.loc[media["status"] != "ok", "clip_id"])]
    for source in source_configs(dataset_name, dataset):
        if isinstance(source, FolderSource) and not source.search:
            root = Path(os.path.expandvars(source.root)).expanduser()
            for clip in clips_of(lost):
                try:
                    uses(root / relative_path(clip.fill(source.file)))
                except ClipError:
                    continue
