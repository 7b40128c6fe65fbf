"""Extract the steps of features of one shard."""

from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, f"features {snakemake.wildcards.dataset}/{snakemake.wildcards.shard}"):
    with importing():
        from avzsl.config import plugins
        from avzsl.config.base import local_paths
        from avzsl.config.features import FeaturesConfig
        from avzsl.contracts.schemas import MEDIA
        from avzsl.contracts.tables import read_table
        from avzsl.results.places import Places
        from avzsl.results.project import dataset_of
        from avzsl.runtime.cache import cached
        from avzsl.runtime.devices import wants_gpu
        from avzsl.runtime.seals import reseal, uses
        from avzsl.runtime.weights import lock_weights
        from extractors import extract_shard
        from extractors.base import with_trained
        from extractors.key import shard_key

        if snakemake.params.lean is not None:
            from avzsl.acquisition import release_shard, restore_shard

    params = snakemake.params
    lock_weights(params.weights_lock)
    name, listed = snakemake.wildcards.dataset, Path(snakemake.input.manifest)
    places = Places(Path(params.results), Path(params.data))
    # Media that were deleted once their features were stored come back for the time of this job.
    lean = None if params.lean is None else dataset_of(params.lean, params.secrets)
    media = read_table(listed, MEDIA) if lean is None else restore_shard(places, name, lean, listed)
    reseal(listed)
    # The revision is there for Snakemake to compare; the extractor knows its own.
    settings = FeaturesConfig.model_validate({k: v for k, v in params.settings.items() if k != "revision"})
    if trained := snakemake.input.get("network"):
        settings = with_trained(settings, Path(trained))
    options = plugins.typed(plugins.EXTRACTOR, settings.extractor, settings.options, "features")
    for _, _, path in local_paths(options):
        uses(path)
    arrays, manifest = Path(snakemake.output.arrays), Path(snakemake.output.manifest)
    cached(
        params.shared,
        shard_key(media, settings, "cuda" if wants_gpu(params.device) else "cpu"),
        {"arrays.safetensors": arrays, "manifest.parquet": manifest},
        lambda: extract_shard(
            media,
            settings,
            arrays,
            manifest,
            device=params.device,
            threads=snakemake.threads,
            cache=places.weights,
            gpu_jobs=params.gpu_jobs,
            decoder=params.decoder,
        ),
    )
    if lean is not None:
        release_shard(listed, manifest, places.media(name, listed.stem))
