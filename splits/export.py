"""Write a split as the lists that the released loaders read: VARIANT_split/stage_*.csv and stage_*.txt."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from avzsl.contracts.atomic import write_text
from splits.build import Split
from splits.lists import STAGES


def write_lists(split: Split, folder: Path, variant: str = "main") -> None:
    """Write the six clip lists (filename, label, label_code) and class lists below `folder`, and all_class.txt.

    label_code is the index of the class among the sorted classes of the data set, as released. Rows and lines are
    sorted by name.
    """
    names = sorted(split.classes["class_name"])
    code = {name: index for index, name in enumerate(names)}
    write_text(Path(folder) / "all_class.txt", "\n".join(names) + "\n")
    stages: dict[str, tuple[str, ...]] = {stage: (subset,) for stage, subset in STAGES.items()}
    stages["stage_2_train"] = ("train", "val_seen", "val_unseen")
    for stage, subsets in stages.items():
        part = split.clips[split.clips["subset"].isin(subsets)].sort_values("clip_id")
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["filename", "label", "label_code"])
        writer.writerows([c, name, code[name]] for c, name in part[["clip_id", "class_name"]].to_numpy())
        place = Path(folder) / f"{variant}_split" / stage
        write_text(place.with_suffix(".csv"), text.getvalue())
        write_text(place.with_suffix(".txt"), "\n".join(sorted(set(part["class_name"]))) + "\n")
