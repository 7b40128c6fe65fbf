"""Which tables there are, and what stands in their columns."""

from __future__ import annotations

from dataclasses import dataclass

METRICS = {"seen": "S", "unseen": "U", "hm": "HM", "zsl": "ZSL"}


@dataclass(frozen=True)
class Layout:
    """One table of a paper: its rows are those of `avzsl.published.of_table(source, table)`."""

    source: str
    table: str
    labels: tuple[str, ...]  # headings of the leading columns
    metrics: tuple[str, ...]
    caption: str
    references: bool = False  # whether newer published rows that are not run here follow
    datasets: tuple[str, ...] = ()  # the only ones it is about; empty: any but those of other tables

    @property
    def name(self) -> str:
        return f"{self.source}-table-{self.table}"


ABLATION = ("hm", "zsl")
CLASSIFICATION = ("seen", "unseen", "hm")
ACCURACY = "Mean class accuracy in percent"

# Image data sets, which have no sound; the paper has them side by side.
IMAGES_TABLE = Layout(
    "cjme",
    "6",
    ("Method",),
    ("unseen", "seen", "hm"),
    f"Image data sets. {ACCURACY}.",
    datasets=("sun", "cub", "awa1", "awa2"),
)
LAYOUTS = (
    Layout("avca", "2", ("Method type", "Model"), tuple(METRICS), f"Methods compared. {ACCURACY}.", True),
    Layout("avca", "3", ("Model",), ABLATION, f"Training with one modality. {ACCURACY}."),
    Layout("avca", "4", ("Model",), ABLATION, f"Training with parts of the model. {ACCURACY}."),
    Layout("avca", "5", ("Model output",), ABLATION, f"Which output decides. {ACCURACY}."),
    Layout("avca", "6", ("Model",), ABLATION, f"Loss without one term. {ACCURACY}."),
    Layout("cjme", "2", ("Train modality", "Test modality"), CLASSIFICATION, f"Zero-shot classification. {ACCURACY}."),
    Layout("cjme", "3", ("Model", "Test"), CLASSIFICATION, "Zero-shot retrieval. Mean average precision in percent."),
    Layout("cjme", "4", ("Model", "Test"), CLASSIFICATION, "Cross-modal retrieval. Mean average precision in percent."),
    Layout("cjme", "5", ("L_AV", "L_TA", "L_TV"), CLASSIFICATION, f"Loss terms of CJME. {ACCURACY}."),
    IMAGES_TABLE,
    Layout("cjme", "7", ("Method", "train", "test"), CLASSIFICATION, f"Other methods. {ACCURACY}."),
)
