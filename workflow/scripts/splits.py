"""Say what the audits of all splits found."""

import sys
from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, "splits"):
    with importing():
        from avzsl.report.audits import findings_table
        from avzsl.results.places import Places
        from avzsl.results.project import project_of

    project = project_of(snakemake.params.project, snakemake.params.results)
    datasets = dict.fromkeys(benchmark.dataset for benchmark in project.benchmarks.values())
    splits = [(name, split) for name in datasets for split in project.dataset(name).splits]
    sys.stdout.write(findings_table(project, Places(Path(snakemake.params.results)), splits))
