"""Python reads this file at its start where a test puts its folder on the path: features of no meaning, at once.

A file `slow` in the working directory holds the seconds that each shard takes, or less once there is a file `go`;
`working.JOB` then holds the process that takes them. A file `full` holds the bytes that each file of a job may have at
most: what is longer fails in whatever library writes it, as on a full disk.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

DIM = 16


def extract_shard(media: Any, features: Any, arrays: Path, manifest: Path, **_: object) -> None:
    """Write the files of a shard: every usable clip gets one window, drawn from a hash of its id and the settings."""
    import numpy as np
    import pandas as pd

    from avzsl.contracts.arrays import write_arrays
    from avzsl.contracts.hashing import sha256_value
    from avzsl.contracts.schemas import FEATURES
    from avzsl.contracts.tables import write_table

    slow = Path("slow")
    if slow.is_file():
        seconds = float(slow.read_text(encoding="utf-8"))
        Path(f"working.{os.environ.get('SLURM_JOB_ID', 'here')}").write_text(str(os.getpid()), encoding="utf-8")
        end = time.monotonic() + seconds
        while time.monotonic() < end and not Path("go").exists():
            time.sleep(min(0.1, seconds))
    ids = [row.clip_id for row in media.itertuples() if row.status == "ok"]
    drawn = {}
    for clip_id in ids:
        seed = int(sha256_value([clip_id, features.options.get("windows", "uniform")])[:8], 16)
        drawn[clip_id] = np.random.default_rng(seed).normal(size=(2, DIM)).astype(np.float32)
    values = np.stack([drawn[clip_id] for clip_id in ids]) if ids else np.zeros((0, 2, DIM), np.float32)
    times = np.tile([0.0, 1.0], (len(ids), 1))
    header = {
        "clip_ids": ids,
        "extractor": {"name": "stub", "windows": features.options.get("windows", "uniform"), "random_weights": True},
    }
    write_arrays(
        arrays,
        {"audio": values[:, 0], "visual": values[:, 1], "offsets": np.arange(len(ids) + 1), "times": times},
        header,
    )
    place = {clip_id: row for row, clip_id in enumerate(ids)}
    rows = [
        {
            "clip_id": row.clip_id, "shard": row.shard, "status": "ok" if row.clip_id in place else "no_media",
            "reason": None if row.clip_id in place else row.status, "row": place.get(row.clip_id, -1),
            "audio_steps": int(row.clip_id in place), "visual_steps": int(row.clip_id in place),
        }
        for row in media.itertuples()
    ]  # fmt: skip
    write_table(manifest, pd.DataFrame(rows, columns=list(FEATURES.columns)), FEATURES)


if Path("full").is_file() and any("/.snakemake/scripts/" in word for word in sys.orig_argv):
    most = int(Path("full").read_text(encoding="utf-8"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

# A failure here must not end every Python of the test.
with contextlib.suppress(ImportError):
    import extractors

    extractors.extract_shard = extract_shard
