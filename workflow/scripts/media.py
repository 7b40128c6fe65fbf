"""Fetch, cut and probe the clips of one shard."""

from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, f"media {snakemake.wildcards.dataset}/{snakemake.wildcards.shard}") as work:
    with importing():
        from avzsl.acquisition import fetch_shard
        from avzsl.acquisition.noted import note_media
        from avzsl.acquisition.shared import settled, shard_key, shareable
        from avzsl.contracts.schemas import CLIPS, MEDIA
        from avzsl.contracts.tables import read_table
        from avzsl.results.project import dataset_of
        from avzsl.runtime.cache import cached

    name = snakemake.wildcards.dataset
    dataset = dataset_of(snakemake.params.settings, snakemake.params.secrets)
    clips = read_table(snakemake.input.clips, CLIPS)
    folder, manifest = Path(snakemake.params.folder), Path(snakemake.output.manifest)
    cached(
        snakemake.params.shared if shareable(dataset) else None,
        shard_key(clips, dataset, folder),
        {"manifest.parquet": manifest},
        lambda: fetch_shard(
            clips,
            name,
            dataset,
            media_dir=folder,
            manifest=manifest,
            shard=int(snakemake.wildcards.shard),
            state=Path(snakemake.params.state),
            replaced=work.changed,
        ),
        good=lambda: settled(manifest),
    )
    note_media(clips, read_table(manifest, MEDIA), name, dataset, folder)
