"""Collect the runs into the results tables."""

from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, "results"):
    with importing():
        from avzsl.contracts.atomic import write_text
        from avzsl.report import summarise, terminal_table
        from avzsl.results.project import project_of

    project = project_of(snakemake.params.project, snakemake.params.results)
    summary = summarise(project, Path(snakemake.params.results), snakemake.params.get("benchmark"))
    if "table" in snakemake.output.keys():  # noqa: SIM118 (Snakemake's named list is not a mapping)
        write_text(snakemake.output.table, terminal_table(summary))
