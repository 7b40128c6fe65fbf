"""Write the page."""

from pathlib import Path

from avzsl.runtime.jobs import job

with job(snakemake.log[0], "report"):
    from avzsl.config.load import job_project
    from avzsl.report import build

    project = job_project(snakemake.config)
    build(project, Path(project.config.results), Path(snakemake.output[0]))
