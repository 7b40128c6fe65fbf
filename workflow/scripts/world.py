"""Render the demo's clips into real files."""

from pathlib import Path

from avzsl.runtime.imports import importing
from avzsl.runtime.jobs import job

with job(snakemake, "world"):
    with importing():
        from avzsl.config.demo import WorldConfig
        from avzsl.demo import render_world
        from avzsl.runtime.seals import keeps

    folder = Path(snakemake.output[0]).parent
    render_world(folder, WorldConfig.model_validate(snakemake.params.world))
    for clip in sorted(folder.glob("*/*.mp4")):
        keeps(clip)
