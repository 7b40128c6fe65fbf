"""Catalogues: small ones made of nothing, and the published benchmarks' from the reference data."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest

from avzsl.config.dataset import DatasetConfig
from splits.catalogs import build_catalog

Tables = tuple[pd.DataFrame, pd.DataFrame]
STAGES = ("stage_1_train", "stage_1_val_seen", "stage_1_val_unseen", "stage_2_test_seen", "stage_2_test_unseen")


def make_catalog(sizes: Sequence[int], per_source: int = 2, names: Sequence[str] | None = None) -> Tables:
    """Return clips and classes of a data set with `sizes[i]` clips in class i, `per_source` clips a source."""
    names = names or [f"kind {index:02d}" for index in range(len(sizes))]
    rows = [
        (f"{name}/{clip:03d}", name, f"{name} source {clip // per_source:03d}")
        for name, size in zip(names, sizes, strict=True)
        for clip in range(size)
    ]
    clips = pd.DataFrame(rows, columns=["clip_id", "class_name", "source_id"])
    clips["start_s"], clips["end_s"], clips["official_subset"] = None, None, None
    classes = pd.DataFrame({"class_name": list(names), "category": None, "clips": list(sizes)})
    classes["phrase"] = classes["class_name"]
    return clips, classes


@pytest.fixture(scope="session")
def catalog() -> Callable[..., Tables]:
    return make_catalog


@dataclass
class Published:
    """A published benchmark: its lists, and a catalogue that holds its clips and those that were lost."""

    folder: Path
    clips: pd.DataFrame
    classes: pd.DataFrame
    lists: dict[str, set[str]] = field(default_factory=dict)
    class_lists: dict[str, set[str]] = field(default_factory=dict)


def _published(folder: Path, module: str, key: str, source: Path) -> Published:
    keys = {"catalog": {"module": module, key: str(source)}, "embeddings": {"table": "demo"}}
    tables = build_catalog(module, DatasetConfig.model_validate(keys), source.parent)
    found = Published(folder, tables.clips, tables.classes)
    for stage in (*STAGES, "stage_2_train"):
        with (folder / "main_split" / f"{stage}.csv").open(newline="") as stream:
            found.lists[stage] = {row["filename"] for row in csv.DictReader(stream)}
        found.class_lists[stage] = set((folder / "main_split" / f"{stage}.txt").read_text().split("\n")) - {""}
    return found


@pytest.fixture(scope="session")
def ucf(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """UCF101's 51 classes with sound as the archive lists them: the published clips and the 29 lost ones.

    The names of the 21 lost clips of WritingOnBoard are not in the reference data; any later names do.
    """
    folder = shared / "data/published_splits/ucf"
    names = set()
    for stage in STAGES:
        with (folder / "main_split" / f"{stage}.csv").open(newline="") as stream:
            names |= {f"{row['label']}/{row['filename']}.avi" for row in csv.DictReader(stream)}
    names |= {f"BasketballDunk/v_BasketballDunk_g15_c0{k}.avi" for k in (4, 5, 6, 7)}
    names |= {f"HandStandPushups/v_HandStandPushups_g14_c0{k}.avi" for k in (1, 2, 3, 4)}
    names |= {f"WritingOnBoard/v_WritingOnBoard_g25_c{k}.avi" for k in range(50, 71)}
    silent = [
        name for name in (folder / "all_class.txt").read_text().split() if not any(f"/v_{name}_" in n for n in names)
    ]
    names |= {f"{name}/v_{name}_g01_c01.avi" for name in silent if name != "HandstandPushups"}
    source = tmp_path_factory.mktemp("ucf") / "names.txt"
    source.write_text("\n".join(sorted(names, reverse=True)))
    return _published(folder, "ucf101", "lists", source)


@pytest.fixture(scope="session")
def activitynet(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """The annotations of ActivityNet as far as the released lists tell: times are not known, lost segments fill the gaps."""
    folder = shared / "data/published_splits/activitynet"
    with (folder / "activitynet_w2v_class_names.csv").open(newline="") as stream:
        label_of = {row["original"]: row["manual"] for row in csv.DictReader(stream)}
    with gzip.open(folder / "input_order.tsv.gz", "rt") as stream:
        rows = [line.rstrip("\n").split("\t") for line in stream]
    videos: dict[str, dict[int, str]] = {}
    for name, label, _ in rows:
        video, k = name.rsplit("_", 1)
        videos.setdefault(video, {})[int(k)] = label_of[label]
    database = {}
    for video, known in videos.items():
        annotations = [
            {"segment": [10.0 * k, 10.0 * k + 9], "label": known.get(k) or next(iter(known.values()))}
            for k in range(max(known) + 1)
        ]
        database[video] = {"subset": "training", "annotations": annotations}
    source = tmp_path_factory.mktemp("activitynet") / "activity_net.json"
    source.write_text(json.dumps({"version": "VERSION 1.3", "database": database}))
    return _published(folder, "activitynet", "annotations", source)
