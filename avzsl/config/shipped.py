"""Where what comes with avzsl beside its modules is: default configuration, workflow, profiles.

In a checkout it stands at the root; a wheel carries the same files inside the package (pyproject.toml). The packages
`splits` and `extractors` stand beside `avzsl` in both, under these names: people use them without the workflow, and code
that runs from a checkout must run from a wheel.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from avzsl.contracts.errors import AvzslError

_PACKAGE = Path(__file__).resolve().parents[1]
ROOT = _PACKAGE / "shipped" if (_PACKAGE / "shipped").is_dir() else _PACKAGE.parent

CONFIG = ROOT / "config"
SNAKEFILE = ROOT / "Snakefile"

# A module that only our package of that name has.
_OURS = {"splits": "catalogs", "extractors": "base"}


def check_neighbours() -> None:
    """Raise AvzslError if another distribution's `splits` or `extractors`, or a place that Snakemake cannot use, is in the way."""
    for place in (ROOT, Path.cwd()):
        if set("{}") & set(str(place)):
            raise AvzslError(
                f"{place}: Snakemake reads {{ and }} in a path as wildcards; move the folder to a path without"
            )
    for name, mark in _OURS.items():
        spec = importlib.util.find_spec(name)
        origin = None if spec is None or spec.origin is None else Path(spec.origin).resolve().parent
        whole = origin is not None and ((origin / mark).is_dir() or (origin / f"{mark}.py").is_file())
        if origin != _PACKAGE.parent / name or not whole:
            raise AvzslError(
                f"Python finds another package called {name} ({origin or 'none at all'}) where avzsl's should be "
                f"({_PACKAGE.parent / name}); install avzsl into an environment of its own"
            )
