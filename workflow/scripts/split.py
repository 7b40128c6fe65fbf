"""Assign the clips of a data set to seen and unseen subsets, and audit the result."""

from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, f"split {snakemake.wildcards.dataset}/{snakemake.wildcards.split}"):
    with importing():
        from avzsl.config.splits import SplitConfig
        from avzsl.contracts.schemas import CLASSES, CLIPS
        from avzsl.contracts.tables import read_table
        from splits import audit_split, build_split, write_audit, write_split

    settings = SplitConfig.model_validate(snakemake.params.settings)
    clips = read_table(snakemake.input.clips, CLIPS)
    classes = read_table(snakemake.input.classes, CLASSES)
    cache = Path(snakemake.params.cache)
    split = build_split(clips, classes, settings, cache)
    folder = Path(snakemake.output.clips).parent
    write_split(split, folder)
    audit = audit_split(split, clips, classes, settings, cache)
    write_audit(audit, folder)
    audit.enforce()
