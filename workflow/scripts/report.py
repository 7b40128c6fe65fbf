"""Write the page."""

from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, "report"):
    with importing():
        from avzsl.report import build
        from avzsl.results.project import project_of

    project = project_of(snakemake.params.project, snakemake.params.results)
    build(project, Path(snakemake.params.results), Path(snakemake.output[0]))
