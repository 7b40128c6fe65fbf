"""Catalogues: the public metadata of a data set -> one table of clips and one of classes.

One module a data set, with `class Options(Section)` (the keys of the data set's `catalog:`) and
`build(name, options, dataset, cache) -> Catalog`. Adding a module touches nothing else.
"""

from splits.catalogs.base import Catalog, build_catalog, write_catalog

__all__ = ["Catalog", "build_catalog", "write_catalog"]
