"""Options of clip-zeroshot."""

from __future__ import annotations

from avzsl.config.base import Section


class Options(Section):
    """Nothing is fitted and nothing is chosen."""
