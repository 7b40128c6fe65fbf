"""Write the tables of the two papers in their own layout, filled with this project's runs."""

from pathlib import Path

from avzsl.runtime.jobs import job

with job(snakemake.log[0], "tables"):
    from avzsl.config.load import job_project
    from avzsl.tables import write_tables

    project = job_project(snakemake.config)
    write_tables(project, Path(project.config.results), Path(snakemake.output[0]))
