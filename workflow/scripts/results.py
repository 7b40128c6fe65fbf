"""Collect the runs into the results tables."""

from pathlib import Path

from avzsl.runtime.jobs import job

with job(snakemake.log[0], "results"):
    from avzsl.config.load import job_project
    from avzsl.contracts.atomic import write_text
    from avzsl.report import summarise, terminal_table

    project = job_project(snakemake.config)
    summary = summarise(project, Path(project.config.results), snakemake.params.get("benchmark"))
    if "table" in snakemake.output.keys():  # noqa: SIM118 (Snakemake's named list is not a mapping)
        write_text(snakemake.output.table, terminal_table(summary))
