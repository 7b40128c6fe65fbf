"""Fetch, cut and probe the clips of one shard."""

from pathlib import Path

from avzsl.contracts.jobs import job

with job(snakemake.log[0], f"media {snakemake.wildcards.dataset}/{snakemake.wildcards.shard}"):
    from avzsl.acquisition import fetch_shard
    from avzsl.config.load import job_project
    from avzsl.contracts.schemas import CLIPS
    from avzsl.contracts.tables import read_table

    name = snakemake.wildcards.dataset
    fetch_shard(
        read_table(snakemake.input.clips, CLIPS),
        name,
        job_project(snakemake.config).dataset(name),
        media_dir=Path(snakemake.params.folder),
        manifest=Path(snakemake.output.manifest),
        shard=int(snakemake.wildcards.shard),
        state=Path(snakemake.params.state),
    )
