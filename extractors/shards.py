"""A shard's clips -> steps of features, in two files."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.schemas import FEATURES
from avzsl.contracts.streams import write_streams
from avzsl.contracts.tables import write_table
from avzsl.runtime.accelerator import held_card, kind_of
from extractors.base import find_extractor, options_of
from extractors.clips import Clip, extract_clips, streams_of
from extractors.key import libraries, shard_key, version_of
from extractors.parts import Parts

logger = logging.getLogger(__name__)


def extract_shard(
    media: pd.DataFrame,
    features: FeaturesConfig,
    arrays: Path,
    manifest: Path,
    *,
    device: str = "auto",
    threads: int = 1,
    cache: Path,
    gpu_jobs: int = 1,
) -> pd.DataFrame:
    """Extract the features of a shard and write its arrays and its FEATURES table; return the table.

    `media` is a MEDIA table; the result has its rows in its order. A clip whose media is not ok becomes `no_media` with
    its status as the reason; a clip that cannot be read gets a status and a reason, never an exception. `threads` cores
    are used by the networks and as many processes decode beside them. `cache` is where downloaded weights live. `gpu_jobs`
    jobs like this one may hold a GPU at a time. Both files are written in one step each, the arrays first; clips that are
    finished where the job ends early are kept beside them (`extractors.parts`), and the next attempt goes on from there.

    Raises ConfigError or DataError for a configuration or weights that cannot be used.
    """
    extractor = find_extractor(features.extractor)
    options = options_of(features)
    clips = [Clip({str(k): v for k, v in row.items()}) for row in media.to_dict("records")]
    readable = [clip for clip in clips if clip.row["status"] == "ok"]
    with held_card("extract", device, gpu_jobs):
        networks = extractor.load(options, device, threads, cache)
        parts = Parts(arrays, shard_key(media, features, kind_of(device)), networks)
        earlier = parts.restore(readable)
        left = [clip for clip in readable if clip.end is None]
        if left:
            try:
                extract_clips(left, networks, features, threads, finished=parts.add)
            except BaseException:
                parts.write()
                raise
    there = [clip for clip in clips if clip.status == "ok"]
    for row, clip in enumerate(there):
        clip.place = row
    header = {
        "clip_ids": [clip.row["clip_id"] for clip in there],
        "extractor": networks.identity,
        "dtype": features.dtype,
        "measured": networks.measured if left or not earlier else earlier[-1],
        "versions": {name: version_of(name) or "?" for name in libraries(options)},
    }
    if earlier and left:
        header["measured_earlier"] = earlier
    write_streams(arrays, streams_of(there, networks, features.dtype), header)
    table = pd.DataFrame([clip.columns() for clip in clips], columns=list(FEATURES.columns))
    write_table(manifest, table, FEATURES)
    parts.clear()
    counts = table["status"].value_counts().to_dict()
    logger.info(
        "%d clips: %s", len(table), ", ".join(f"{n} {status}" for status, n in sorted(counts.items())) or "none"
    )
    return table
