"""Train and evaluate one method with one seed."""

from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, f"{snakemake.wildcards.method} seed {snakemake.wildcards.seed}"):
    with importing():
        from avzsl.training.ahead import Asked, Here, make

    names, params, given = snakemake.wildcards, snakemake.params, snakemake.input
    make(
        Asked(
            names.benchmark,
            names.method,
            int(names.seed),
            params.settings,
            params.checkpoint_seconds,
            given.get("steps"),
            str(Path(snakemake.output.run).parent),
        ),
        Here(
            Path(given.clips).parent,
            Path(given.arrays),
            Path(given.embeddings),
            params.device,
            snakemake.threads,
            params.tracking,
            params.seeds,
            params.most_together,
            str(snakemake.log[0]),
            snakemake.resources.get("mem_mb"),
        ),
    )
