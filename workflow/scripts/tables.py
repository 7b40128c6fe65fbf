"""Write the tables of the two papers in their own layout, filled with this project's runs."""

from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, "tables"):
    with importing():
        from avzsl.results.project import project_of
        from avzsl.tables import write_tables

    project = project_of(snakemake.params.project, snakemake.params.results)
    write_tables(project, Path(snakemake.params.results), Path(snakemake.output[0]))
