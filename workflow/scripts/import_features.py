"""Import features that exist already, as one shard of all clips."""

from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, f"import {snakemake.wildcards.dataset}"):
    with importing():
        from avzsl.config.features import FeaturesConfig
        from avzsl.contracts.schemas import CLIPS
        from avzsl.contracts.tables import read_table
        from avzsl.runtime.seals import uses
        from extractors.importing import import_any

    settings = FeaturesConfig.model_validate(snakemake.params.settings)
    uses(settings.imported_from(snakemake.wildcards.dataset))
    import_any(
        snakemake.wildcards.dataset,
        snakemake.wildcards.features,
        settings,
        list(read_table(snakemake.input.clips, CLIPS)["clip_id"]),
        Path(snakemake.output.arrays),
        Path(snakemake.output.manifest),
    )
