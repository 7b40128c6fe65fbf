"""Render the demo's clips into real files."""

from pathlib import Path

from avzsl.runtime.jobs import job

with job(snakemake.log[0], "world"):
    from avzsl.config.demo import WorldConfig
    from avzsl.demo import render_world

    world = WorldConfig.model_validate(snakemake.params.catalog.get("world", {}))
    render_world(Path(snakemake.output[0]).parent, world)
