"""Average the steps of every clip and put all shards of a data set into one file."""

from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, f"pack {snakemake.wildcards.dataset}"):
    with importing():
        from extractors import pack

    shards = [(Path(a), Path(m)) for a, m in zip(snakemake.input.arrays, snakemake.input.manifests, strict=True)]
    pack(shards, Path(snakemake.output.arrays), Path(snakemake.output.manifest))
