"""Join split, features and class embeddings into a benchmark, and say what became of every clip."""

from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, f"benchmark {snakemake.wildcards.benchmark}"):
    with importing():
        from avzsl.benchmark import assemble
        from avzsl.config.splits import SplitConfig

    assemble(
        Path(snakemake.input.split).parent,
        (Path(snakemake.input.arrays), Path(snakemake.input.manifest)),
        [Path(path) for path in snakemake.input.media],
        Path(snakemake.input.embeddings),
        Path(snakemake.output.clips).parent,
        name=snakemake.wildcards.benchmark,
        config=SplitConfig.model_validate(snakemake.params.settings),
        interim=snakemake.params.interim,
    )
