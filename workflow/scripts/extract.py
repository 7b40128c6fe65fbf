"""Extract the steps of features of one shard."""

from pathlib import Path

from avzsl.runtime.jobs import job

with job(snakemake.log[0], f"features {snakemake.wildcards.dataset}/{snakemake.wildcards.shard}"):
    from avzsl.acquisition import release_shard, restore_shard
    from avzsl.config.features import FeaturesConfig
    from avzsl.config.load import job_project
    from avzsl.contracts.schemas import MEDIA
    from avzsl.contracts.tables import read_table
    from avzsl.results.places import Places
    from avzsl.runtime.cache import cached
    from avzsl.runtime.devices import wants_gpu
    from extractors import extract_shard
    from extractors.key import shard_key

    project = job_project(snakemake.config)
    name, listed = snakemake.wildcards.dataset, Path(snakemake.input.manifest)
    dataset = project.dataset(name)
    places = Places(Path(project.config.results), Path(project.config.data))
    lean = dataset.media.keep == "features"
    media = restore_shard(places, name, dataset, listed) if lean else read_table(listed, MEDIA)
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
            cache=Path(snakemake.params.cache),
        ),
    )
    if lean:
        release_shard(listed, manifest, places.media(name, listed.stem))
