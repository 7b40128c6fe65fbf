"""Extract the per-window features of one shard."""

from pathlib import Path

from avzsl.contracts.jobs import job

with job(snakemake.log[0], f"features {snakemake.wildcards.dataset}/{snakemake.wildcards.shard}"):
    from avzsl.config.features import FeaturesConfig
    from avzsl.config.load import job_project
    from avzsl.contracts.cache import cached
    from avzsl.contracts.devices import wants_gpu
    from avzsl.contracts.schemas import MEDIA
    from avzsl.contracts.tables import read_table
    from extractors import extract_shard
    from extractors.key import shard_key

    project = job_project(snakemake.config)
    media = read_table(snakemake.input.manifest, MEDIA)
    settings = FeaturesConfig.model_validate(snakemake.params.settings)
    arrays, manifest = Path(snakemake.output.arrays), Path(snakemake.output.manifest)
    cached(
        project.shared_cache,
        shard_key(media, settings, "cuda" if wants_gpu(project.config.device) else "cpu"),
        {"arrays.safetensors": arrays, "manifest.parquet": manifest},
        lambda: extract_shard(
            media,
            settings,
            arrays,
            manifest,
            device=project.config.device,
            threads=snakemake.threads,
            keep_media=project.dataset(snakemake.wildcards.dataset).media.keep != "features",
            cache=Path(snakemake.params.cache),
        ),
    )
