"""The tables of the two papers in their own layout, filled with this project's runs."""

from avzsl.tables.write import write_tables

__all__ = ["write_tables"]
