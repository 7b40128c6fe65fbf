"""Fetch, cut and probe the clips of one shard."""

from pathlib import Path

from avzsl.runtime.jobs import job

with job(snakemake.log[0], f"media {snakemake.wildcards.dataset}/{snakemake.wildcards.shard}"):
    from avzsl.acquisition import fetch_shard
    from avzsl.acquisition.shared import settled, shard_key, shareable
    from avzsl.config.load import job_project
    from avzsl.contracts.schemas import CLIPS
    from avzsl.contracts.tables import read_table
    from avzsl.runtime.cache import cached

    name = snakemake.wildcards.dataset
    project = job_project(snakemake.config)
    dataset = project.dataset(name)
    clips = read_table(snakemake.input.clips, CLIPS)
    folder, manifest = Path(snakemake.params.folder), Path(snakemake.output.manifest)
    cached(
        project.shared_cache if shareable(dataset) else None,
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
        ),
        good=lambda: settled(manifest),
    )
