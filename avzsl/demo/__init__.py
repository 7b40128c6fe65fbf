"""The demo world: a small data set of real files that `snakemake --cores all` builds with no download.

Importing this package loads no FFmpeg: a configuration is checked with the names of the classes alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from avzsl.demo.classes import DemoClass, demo_classes

if TYPE_CHECKING:
    from avzsl.demo.world import INDEX, render_clip, render_world

__all__ = ["INDEX", "DemoClass", "demo_classes", "render_clip", "render_world"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from avzsl.demo import world

        return getattr(world, name)
    raise AttributeError(f"module 'avzsl.demo' has no attribute {name!r}")
