"""Label sets of pre-training data: the classes a backbone may already know."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path

from avzsl.contracts.errors import AvzslError, ConfigError


def load_labels(name: str, files: dict[str, str]) -> list[str]:
    """Return the labels of the set `name`, in the set's own order.

    `files` maps label sets to local files of one label a line; it wins over everything else.
    Raises ConfigError if there is no such set, and AvzslError if its labels cannot be had.
    """
    if name in files:
        return _read(Path(files[name]).expanduser())
    if name == "kinetics400":
        return list(_kinetics400())
    raise ConfigError(f"avoid: unknown label set {name!r}; known: kinetics400, or name a file under overlap.files")


@cache
def _kinetics400() -> tuple[str, ...]:
    """Read the 400 names out of torchvision's source, since importing torchvision would import torch."""
    package = importlib.util.find_spec("torchvision")
    if package is None or package.origin is None:
        raise AvzslError("the Kinetics-400 labels come with torchvision, which is not installed")
    source = Path(package.origin).parent / "models" / "_meta.py"
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "_KINETICS400_CATEGORIES" for t in node.targets
        ):
            labels = tuple(ast.literal_eval(node.value))
            if len(labels) == 400:
                return labels
    raise AvzslError(f"{source}: does not hold the 400 Kinetics labels; give a file of them under overlap.files")


def _read(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"overlap.files: {path}: cannot be read: {error}") from error
    labels = [line.strip() for line in lines if line.strip()]
    if not labels:
        raise ConfigError(f"overlap.files: {path}: holds no label")
    return labels
