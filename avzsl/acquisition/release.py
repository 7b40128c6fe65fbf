"""Keep features only (`media.keep: features`): media go once their features are stored, and come back when needed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from avzsl.acquisition.fetch import fetch_shard
from avzsl.acquisition.place import ORIGINALS
from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.schemas import CLIPS, FEATURES, MEDIA
from avzsl.contracts.tables import read_table
from avzsl.results.places import Places


def restore_shard(places: Places, dataset_name: str, dataset: DatasetConfig, manifest: Path) -> pd.DataFrame:
    """Return a shard's MEDIA table with its files in place; what was released is fetched again.

    Costs one look at each file when nothing was released. Raises what `fetch_shard` raises.
    """
    shard = manifest.stem
    return fetch_shard(
        read_table(places.clips(dataset_name, shard), CLIPS), dataset_name, dataset, places.media(dataset_name, shard),
        manifest, shard=int(shard), state=places.state,
    )  # fmt: skip


def release_shard(manifest: Path, features: Path, media_dir: Path) -> int:
    """Delete the media files of a shard whose features are stored; returns the bytes that became free.

    `manifest` is the shard's MEDIA table, `features` its FEATURES table. Only files below `media_dir` are touched:
    a source that is used in place stays. As long as a clip of the shard may still come, everything is kept, because
    the shard will be extracted again as a whole. Raises DataError if a table is missing or wrong.
    """
    media = read_table(manifest, MEDIA)
    extracted = set(read_table(features, FEATURES)["clip_id"])
    if not (media["permanent"] | (media["status"] == "ok")).all() or not set(media["clip_id"]) <= extracted:
        return 0
    free, home = 0, media_dir.resolve()
    for name in media.loc[media["status"] == "ok", "path"]:
        path = Path(name).resolve()
        if home in path.parents and path.is_file():
            free += path.stat().st_size
            path.unlink()
    originals = media_dir / ORIGINALS
    free += sum(path.stat().st_size for path in originals.glob("*") if path.is_file())
    shutil.rmtree(originals, ignore_errors=True)
    return free
