"""The demo world: a small data set of real files that `snakemake --cores all` builds with no download."""

from avzsl.demo.classes import DemoClass, demo_classes
from avzsl.demo.world import INDEX, render_clip, render_world

__all__ = ["INDEX", "DemoClass", "demo_classes", "render_clip", "render_world"]
