"""Build the catalogue of a data set: clips, classes, and the clips of each shard."""

from pathlib import Path

from avzsl.runtime.jobs import job

with job(snakemake.log[0], f"catalog {snakemake.params.dataset}"):
    from avzsl.config.load import job_project
    from splits.catalogs import build_catalog, write_catalog

    dataset = job_project(snakemake.config).dataset(snakemake.params.dataset)
    catalog = build_catalog(snakemake.params.dataset, dataset, Path(snakemake.params.cache))
    write_catalog(catalog, Path(snakemake.output.clips).parent, dataset.shards)
