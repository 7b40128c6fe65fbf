"""A machine with torch, PyAV, NumPy, pydantic and safetensors, made of one that has more: everything else is not found.

Python imports this module by itself where its folder is on PYTHONPATH, in every process.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

# What the wheels bring: torch's own needs are there where torch is.
THERE = {
    "torch", "torchgen", "functorch", "numpy", "av", "pydantic", "pydantic_core", "annotated_types", "typing_inspection",
    "typing_extensions", "safetensors",
    "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "filelock", "fsspec", "packaging", "setuptools", "pkg_resources", "triton",
}  # fmt: skip
OURS = {"avzsl", "extractors", "splits", "bare_trunks", "clips", "gpu", "sitecustomize", "__main__"}


class Bare(PathFinder):
    """Finds on the path what is there."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top = fullname.partition(".")[0]
        if top in sys.stdlib_module_names or top in THERE | OURS or top.startswith(("_", "nvidia")):
            return super().find_spec(fullname, path, target)
        return None


sys.meta_path[:] = [Bare if finder is PathFinder else finder for finder in sys.meta_path]
