"""The numbers that papers and their repositories print, as data: what a measured row is compared with.

`numbers.csv` holds one row a printed row and data set: where it stands (source, table, row), what it is (task, data
set, features, split), which of our methods it belongs to (empty: not run here) and its numbers in percent.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from avzsl.config.features import KINDS
from avzsl.config.splits import SplitConfig

NUMBERS = Path(__file__).with_name("numbers.csv")

# Where the numbers were read.
SOURCES = {
    "avca": "Mercea et al., Audio-visual Generalised Zero-shot Learning with Cross-modal Attention and Language, CVPR 2022",
    "cjme": "Parida et al., Coordinated Joint Multimodal Embeddings for Generalized Audio-Visual Zeroshot Classification and Retrieval of Videos, WACV 2020",
    "avca-readme": "README of github.com/ExplainableML/AVCA-GZSL",
    "tcaf-readme": "README of github.com/ExplainableML/TCAF-GZSL (temporal features)",
    "mstr-readme": "README of github.com/xia-zhe/MSTR",
    "clipclap-readme": "README of github.com/dkurzend/ClipClap-GZSL",
    "hsp-moe-readme": "README of github.com/XPX-LQL/HSP-MoE-AVGZSL (one seed)",
}


@dataclass(frozen=True)
class Published:
    """One printed row for one data set; percent as printed, None where the source prints no such number.

    `labels` are the row's leading cells, `task` is classification or a direction of retrieval; `split` is empty where
    the source does not say which of a data set's splits it used.
    """

    source: str
    table: str
    row: int
    group: str
    labels: tuple[str, ...]
    method: str
    task: str
    dataset: str
    features: str
    split: str
    seen: float | None
    unseen: float | None
    hm: float | None
    zsl: float | None

    @property
    def place(self) -> str:
        """Source, table and row, for people."""
        return f"{SOURCES[self.source]}, " + (
            f"table {self.table}, row {self.row}" if self.table else f"row {self.row}"
        )


@cache
def numbers() -> tuple[Published, ...]:
    """Return every published row, in the order of its source."""
    with NUMBERS.open(encoding="utf-8", newline="") as stream:
        return tuple(_row(row) for row in csv.DictReader(stream))


def _row(row: dict[str, str]) -> Published:
    seen, unseen, hm, zsl = (float(row[key]) if row[key] else None for key in ("seen", "unseen", "hm", "zsl"))
    return Published(
        row["source"], row["table"], int(row["row"]), row["group"], tuple(row["title"].split("|")), row["method"],
        row["task"], row["dataset"], row["features"], row["split"], seen, unseen, hm, zsl,
    )  # fmt: skip


def of_table(source: str, table: str) -> list[Published]:
    """Return the rows of one table of one source, for all of its data sets."""
    return [row for row in numbers() if (row.source, row.table) == (source, table)]


def comparable(dataset: str, features: str, split: str, task: str = "classification") -> list[Published]:
    """Return the rows whose data set, features and split are the ones given, from all sources.

    `features` is the published kind: selavi, c3d-vggish, clip-clap or cjme. A row that does not say its split is comparable
    with none.
    """
    wanted = (dataset, features, split, task)
    return [row for row in numbers() if row.split and (row.dataset, row.features, row.split, row.task) == wanted]


def for_benchmark(
    dataset: str, features: str, split: SplitConfig, random_weights: bool, task: str = "classification"
) -> list[Published]:
    """Return the rows that a benchmark can be compared with: same data set, kind of features and published split.

    `features` is the name of the feature set. Features of random weights are comparable with nothing.
    """
    kind = KINDS.get(features)
    if kind is None or random_weights or split.flavour not in ("published", "imported"):
        return []
    return comparable(dataset, kind, "published_cls" if split.variant == "cls" else "published", task)
