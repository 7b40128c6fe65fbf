"""Options of the raw features: there are none."""

from __future__ import annotations

from avzsl.config.base import Section


class Options(Section):
    """Nothing to choose."""
