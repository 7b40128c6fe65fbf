"""Label sets of pre-training data: the classes a backbone may already know."""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass
from functools import cache as memo
from pathlib import Path

from avzsl.contracts.errors import AvzslError, ConfigError
from avzsl.contracts.hashing import sha256_text
from avzsl.pretrained.label_sets import LABEL_SETS as PRETRAINED
from avzsl.pretrained.label_sets import labels_of
from avzsl.runtime.seals import uses
from splits.files import RemoteFile


@dataclass(frozen=True)
class LabelSet:
    """A public label list: where it is, and the checksum of its labels (one a line, in its order)."""

    title: str
    urls: tuple[str, ...]
    size: int
    sha256: str


_MMACTION = "https://raw.githubusercontent.com/open-mmlab/mmaction2/main/tools/data/kinetics"
LABEL_SETS = {
    "kinetics400": LabelSet(
        "Kinetics-400", (), 400, "a8dafb93a1204d4ecfa904f943ce5ee0c62ddeeb1df71aa1f96983fca17d777e"
    ),
    "kinetics600": LabelSet(
        "Kinetics-600", (f"{_MMACTION}/label_map_k600.txt",), 600, "5d9a560f98fcfed08f6129dd498f97e043edf729efb3c02dd96b482d2970f9c0"
    ),
    "kinetics700": LabelSet(
        "Kinetics-700", (f"{_MMACTION}/label_map_k700.txt",), 700, "a34c9fed41f5f9ed56d95b7d0f60ce3af073064691da8dc75dcda06f394af1c9"
    ),
    "sports1m": LabelSet(
        "Sports-1M",
        (
            "https://raw.githubusercontent.com/gtoderici/sports-1m-dataset/master/labels.txt",
            "https://raw.githubusercontent.com/DavideA/c3d-pytorch/master/labels.txt",
        ),
        487,
        "0df67a130a1adb5b1c5177a070f3b347eb638ed05b3d16999514c50b548bedd9",
    ),
}  # fmt: skip
# All that a split can avoid without a file.
KNOWN = (*LABEL_SETS, *PRETRAINED)


def load_labels(name: str, files: dict[str, str], cache: Path | None = None) -> list[str]:
    """Return the labels of the set `name`, in the set's own order.

    `files` maps label sets to local files of one label a line; a set of one's own needs one. AudioSet and ImageNet-1k come
    with avzsl, the Kinetics-400 names with torchvision; other known sets are downloaded to `cache` once. Labels of a known set are compared
    with its checksum, wherever they come from.

    Raises ConfigError if there is no such set, AvzslError if its labels cannot be had or are not those of the set.
    """
    if name in PRETRAINED and name not in files:
        return [label.name for label in labels_of(name)]
    known = LABEL_SETS.get(name)
    if known is None:
        if name not in files:
            raise ConfigError(
                f"avoid: unknown label set {name!r}; known: {', '.join(KNOWN)}, or name a file under overlap.files"
            )
        return _read(Path(files[name]).expanduser())
    if name in files:
        where = Path(files[name]).expanduser()
        labels = _read(where)
    elif name == "kinetics400":
        where, labels = _kinetics400()
    else:
        where = RemoteFile().locate(f"{name}.txt", cache, f"overlap.files.{name}", known.urls)
        labels = _read(where)
    if sha256_text("\n".join(labels)) != known.sha256:
        raise AvzslError(
            f"{where}: its {len(labels)} labels are not the {known.size} of {known.title}; "
            f"delete it if it was downloaded, or give another name under overlap.files"
        )
    return labels


@memo
def _kinetics400() -> tuple[Path, list[str]]:
    """Read the 400 names out of torchvision's source, since importing torchvision would import torch."""
    package = importlib.util.find_spec("torchvision")
    if package is None or package.origin is None:
        raise AvzslError("the Kinetics-400 labels come with torchvision, which is not installed")
    source = Path(package.origin).parent / "models" / "_meta.py"
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "_KINETICS400_CATEGORIES" for target in targets):
            return source, list(ast.literal_eval(node.value))  # type: ignore[attr-defined]
    raise AvzslError(f"{source}: does not hold the Kinetics-400 labels; give a file under overlap.files.kinetics400")


def _read(path: Path) -> list[str]:
    uses(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"label set {path}: cannot be read: {error}") from error
    labels = [line.strip() for line in lines if line.strip()]
    if not labels:
        raise ConfigError(f"label set {path}: holds no label")
    return labels
