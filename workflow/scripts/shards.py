"""Write which clips of a data set are fetched, in shards."""

from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, f"shards {snakemake.params.dataset}"):
    with importing():
        from avzsl.acquisition.shards import write_shards
        from avzsl.config.sources import MediaConfig
        from avzsl.results.places import Places

    params = snakemake.params
    write_shards(
        Places(Path(params.results)),
        params.dataset,
        Path(snakemake.input.clips),
        dict(zip(params.splits, map(Path, snakemake.input.splits), strict=True)),
        params.shards,
        MediaConfig.model_validate(params.media),
    )
