"""Build the catalogue of a data set: clips, classes, and the clips of each shard."""

from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, f"catalog {snakemake.params.dataset}"):
    with importing():
        from avzsl.results.project import dataset_of
        from splits.catalogs import build_catalog, write_catalog

    dataset = dataset_of(snakemake.params.settings)
    catalog = build_catalog(snakemake.params.dataset, dataset, Path(snakemake.params.cache))
    write_catalog(catalog, Path(snakemake.output.clips).parent, dataset.shards)
