"""A shard's clips -> steps of features, in two files."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pandas as pd

from avzsl.config.features import FeaturesConfig
from avzsl.contracts.schemas import FEATURES
from avzsl.contracts.streams import write_streams
from avzsl.contracts.tables import write_table
from avzsl.media.hardware import trouble
from avzsl.runtime.accelerator import current_card, held_card, kind_of
from extractors.base import find_extractor, options_of
from extractors.clips import Clip, extract_clips, streams_of
from extractors.key import libraries, shard_key, version_of
from extractors.parts import Parts
from extractors.pool import Hardware

logger = logging.getLogger(__name__)

# Processes that decode on the GPU beside others: about as many as a large card has decoders (an H100 has seven).
MOST_ON_HARDWARE = 8


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
    decoder: str = "cpu",
) -> pd.DataFrame:
    """Extract the features of a shard and write its arrays and its FEATURES table; return the table.

    `media` is a MEDIA table; the result has its rows in its order. A clip whose media is not ok becomes `no_media` with
    its status as the reason; a clip that cannot be read gets a status and a reason, never an exception. `threads` cores
    are used by the networks and as many processes decode beside them. `cache` is where downloaded weights live. `gpu_jobs`
    jobs like this one may hold a GPU at a time. `decoder`: what decodes pictures where a GPU computes (`choose_decoder`). Both files are written in one step each, the arrays first; clips that are
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
                hardware = choose_decoder(decoder, device, threads)
                extract_clips(left, networks, features, threads, hardware=hardware, finished=parts.add)
            except BaseException:
                parts.write()
                raise
    there = [clip for clip in clips if clip.status == "ok"]
    for row, clip in enumerate(there):
        clip.place = row
    header = {
        "clip_ids": [clip.row["clip_id"] for clip in there],
        "extractor": networks.identity | options.revised,
        "dtype": features.dtype,
        "measured": networks.measured if left or not earlier else earlier[-1],
        "versions": {name: version_of(name) or "?" for name in libraries(options)},
    }
    if decoder != "cpu":
        header["decoded"] = _decoded(readable)
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


def choose_decoder(decoder: str, device: str, threads: int) -> Hardware | None:
    """Return the GPU that decodes for a job of extraction, None: the CPU, which is said once where another was asked for.

    `decoder` cuda: the GPU's decoder for every file, in all `threads` processes; auto: in half of them, at most
    MOST_ON_HARDWARE, while the others decode on the CPU. Either way the CPU takes what the GPU does not.
    """
    if decoder == "cpu":
        return None
    why = trouble() if kind_of(device) == "cuda" else "no GPU computes here"
    if why is not None:
        logger.warning("decoder: %s is not to be had (%s): the CPU decodes", decoder, why)
        return None
    on_gpu = threads if decoder == "cuda" else min(-(-threads // 2), MOST_ON_HARDWARE)
    return Hardware(current_card(), on_gpu)


def _decoded(clips: list[Clip]) -> dict[str, int]:
    """Count the clips by what decoded their pictures, and say why some were not decoded by the GPU."""
    ends = [clip.end.info for clip in clips if clip.end is not None]
    for reason, count in sorted(Counter(info.refused for info in ends if info.refused).items()):
        logger.info("%d of %d clips were decoded by the CPU: %s", count, len(ends), reason)
    return dict(Counter(info.decoder for info in ends))
