"""Extract the per-window features of one shard."""

from pathlib import Path

from avzsl.contracts.jobs import job

with job(snakemake.log[0], f"features {snakemake.wildcards.dataset}/{snakemake.wildcards.shard}"):
    from avzsl.acquisition import Places, release_shard, restore_shard
    from avzsl.config.features import FeaturesConfig
    from avzsl.config.load import job_project
    from avzsl.contracts.schemas import MEDIA
    from avzsl.contracts.tables import read_table
    from extractors import extract_shard

    project = job_project(snakemake.config)
    name, manifest = snakemake.wildcards.dataset, Path(snakemake.input.manifest)
    dataset = project.dataset(name)
    places = Places(Path(project.config.results), Path(project.config.data))
    lean = dataset.media.keep == "features"
    extract_shard(
        restore_shard(places, name, dataset, manifest) if lean else read_table(manifest, MEDIA),
        FeaturesConfig.model_validate(snakemake.params.settings),
        Path(snakemake.output.arrays),
        Path(snakemake.output.manifest),
        device=project.config.device,
        threads=snakemake.threads,
        cache=Path(snakemake.params.cache),
    )
    if lean:
        release_shard(manifest, Path(snakemake.output.manifest), places.media(name, manifest.stem))
