"""Put the steps of all shards of a data set into one file, for methods of sequences."""

from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, f"steps {snakemake.wildcards.dataset}"):
    with importing():
        from extractors.packing import pack_steps

    pack_steps([Path(path) for path in snakemake.input.arrays], Path(snakemake.input.pack), Path(snakemake.output[0]))
