"""Train and evaluate one method with one seed."""

from pathlib import Path

from avzsl.runtime.jobs import job

with job(snakemake.log[0], f"{snakemake.wildcards.method} seed {snakemake.wildcards.seed}"):
    from avzsl.config.load import job_project
    from avzsl.training import run

    project = job_project(snakemake.config)
    benchmark = project.benchmarks[snakemake.wildcards.benchmark]
    steps = snakemake.input.get("steps")
    run(
        Path(snakemake.input.clips).parent,
        Path(snakemake.input.arrays),
        Path(snakemake.input.embeddings),
        project.method(snakemake.wildcards.method, benchmark),
        benchmark,
        int(snakemake.wildcards.seed),
        Path(snakemake.output.run).parent,
        device=project.config.device,
        threads=snakemake.threads,
        tracking=project.config.tracking,
        steps=Path(steps) if steps else None,
    )
