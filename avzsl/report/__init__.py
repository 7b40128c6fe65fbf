"""Results to tables and to one page.

The three functions of the pipeline are loaded when they are asked for, so that a rule or command that only needs
the tables starts without the libraries of the page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avzsl.report.page import build
    from avzsl.report.summary import Summary, collect, summarise, terminal_table

__all__ = ["Summary", "build", "collect", "summarise", "terminal_table"]


def __getattr__(name: str) -> Any:
    if name == "build":
        from avzsl.report.page import build

        return build
    if name in __all__:
        from avzsl.report import summary

        return getattr(summary, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
