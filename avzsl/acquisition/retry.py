"""Ask again for clips whose failure may pass, or for any status that is named."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from avzsl.acquisition.errors import AcquisitionError
from avzsl.acquisition.fetch import fetch_shard
from avzsl.acquisition.pace import reset_all
from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.schemas import CLIPS, MEDIA
from avzsl.contracts.tables import read_table
from avzsl.results.places import Places
from avzsl.runtime.seals import reseal

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Retried:
    """What a retry did."""

    shards: int
    asked: int
    won: int


def retry(
    places: Places,
    dataset_name: str,
    dataset: DatasetConfig,
    *,
    statuses: frozenset[str] = frozenset(),
    now: bool = False,
    workers: int = 4,
    dry_run: bool = False,
) -> Retried:
    """Fetch the shards of a data set that have clips to ask for again, and update their manifests.

    Without `statuses`, those are the clips whose failure is not permanent; with it, those that ended in one of
    them. `now` forgets cool-downs and the breaker first. `dry_run` only counts. `snakemake` afterwards redoes what
    depends on the shards whose media changed. Raises what `fetch_shard` raises.
    """
    if now and not dry_run:
        reset_all(places.state)
    shards = asked = won = 0
    for manifest in places.manifests(dataset_name):
        table = read_table(manifest, MEDIA)
        failed = table["status"] != "ok"
        again = failed & (table["status"].isin(statuses) if statuses else ~table["permanent"])
        if not again.any():
            continue
        shards += 1
        asked += int(again.sum())
        if dry_run:
            continue
        shard = manifest.stem
        listed = places.clips(dataset_name, shard)
        if not listed.is_file():
            raise AcquisitionError(f"{listed}: the clips of the shard are not there; run snakemake instead")
        done = fetch_shard(
            read_table(listed, CLIPS), dataset_name, dataset, places.media(dataset_name, shard), manifest,
            shard=int(shard), workers=workers, state=places.state, reopen=statuses,
        )  # fmt: skip
        reseal(manifest)
        won += int((done["status"] == "ok").sum()) - int((~failed).sum())
    return Retried(shards, asked, won)
