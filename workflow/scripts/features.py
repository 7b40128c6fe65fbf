"""Extract the per-window features of one shard."""

from pathlib import Path

from avzsl.contracts.jobs import job

with job(snakemake.log[0], f"features {snakemake.wildcards.dataset}/{snakemake.wildcards.shard}"):
    from avzsl.config.features import FeaturesConfig
    from avzsl.config.load import job_project
    from avzsl.contracts.schemas import MEDIA
    from avzsl.contracts.tables import read_table
    from extractors import extract_shard

    project = job_project(snakemake.config)
    extract_shard(
        read_table(snakemake.input.manifest, MEDIA),
        FeaturesConfig.model_validate(snakemake.params.settings),
        Path(snakemake.output.arrays),
        Path(snakemake.output.manifest),
        device=project.config.device,
        threads=snakemake.threads,
        keep_media=project.dataset(snakemake.wildcards.dataset).media.keep != "features",
        cache=Path(snakemake.params.cache),
    )
