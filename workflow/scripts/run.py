"""Train and evaluate one method with one seed."""

from pathlib import Path

from avzsl.runtime.jobs import job

with job(snakemake, f"{snakemake.wildcards.method} seed {snakemake.wildcards.seed}"):
    from avzsl.results.project import run_of
    from avzsl.training.run import run

    names, params = snakemake.wildcards, snakemake.params
    seed = int(names.seed)
    benchmark, method = run_of(params.settings, names.benchmark, names.method, seed, params.checkpoint_seconds)
    steps = snakemake.input.get("steps")
    out = Path(snakemake.output.run).parent
    run(
        Path(snakemake.input.clips).parent,
        Path(snakemake.input.arrays),
        Path(snakemake.input.embeddings),
        method,
        benchmark,
        seed,
        out,
        device=params.device,
        threads=snakemake.threads,
        tracking=params.tracking,
        steps=Path(steps) if steps else None,
        together=[(other, out.with_name(f"seed-{other}")) for other in params.seeds],
        most_together=params.most_together,
    )
