"""Splits of every flavour of made-up catalogues, and their audits."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import yaml

from avzsl.config.splits import SplitConfig
from splits import audit_split, build_split
from tests.goldens.digest import lines

NAMES = [
    "archery", "bowling alley", "zap zing", "quux", "plugh", "xyzzy", "frobnicate", "wibble", "wobble", "flob",
    "grault", "garply", "waldo", "fred", "thud", "corge", "hoge", "piyo", "toto titi", "tutu",
]  # fmt: skip


def catalogue(seed: int = 41) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return clips and classes: unequal classes, sources that several classes share, times, official subsets."""
    rng = np.random.default_rng(seed)
    rows = []
    for number, name in enumerate(NAMES):
        for clip in range(int(rng.integers(12, 40))):
            own = int(rng.integers(0, 9))
            source = f"shared {own % 3}" if rng.random() < 0.06 else f"source {number:02d} {own}"
            start = float(rng.integers(0, 40))
            known = rng.random() < 0.9
            rows.append((
                f"{name}/{clip:03d}", name, source, start if known else None,
                start + float(rng.integers(2, 12)) if known else None, rng.choice(["train", "test", "eval"]),
            ))  # fmt: skip
    columns = ["clip_id", "class_name", "source_id", "start_s", "end_s", "official_subset"]
    clips = pd.DataFrame(rows, columns=columns)
    sizes = clips["class_name"].value_counts()
    classes = pd.DataFrame({"class_name": NAMES, "category": [f"group {k % 3}" for k in range(len(NAMES))]})
    classes["clips"] = classes["class_name"].map(sizes)
    # Two phrases stand in another order than their classes.
    classes["phrase"] = classes["class_name"].replace({"fred": "a person fred", "quux": "wobble often"})
    return clips, classes


CHECKS = {
    "class_disjointness", "stage_1_disjointness", "val_unseen_is_test_unseen", "overlap_kinetics400", "near_duplicate_names",
    "same_label_classes", "val_seen_source", "test_seen_source", "val_unseen_source", "test_unseen_source", "test_seen_time",
    "test_unseen_time", "test_seen_in_pretrained", "test_unseen_in_pretrained", "val_seen_in_pretrained",
    "val_unseen_in_pretrained", "official_mixing", "classes_without_clips", "classes_without_test", "small_test_classes",
    "published_counts", "variant_classes", "test_seen_ratio", "embedding_order",
}  # fmt: skip
ROLES = {"train": NAMES[:10], "val_unseen": NAMES[10:13], "test_unseen": NAMES[13:17]}
FACTS: dict[str, dict[str, Any]] = {
    "avca": {
        "roles": ROLES, "dropped": {"cls": ["garply", "fred"]},
        "filters": {
            "long": {"longer_than_s": 4.0}, "lost": {"clips": ["quux/003"], "first": {"thud": 11}},
            "official": {"official_subset": "train", "roles": ["train"]}, "late": {"longer_than_s": 6.0, "after_split": True},
        },
        "order": {"parts": {"wibble/000": "wibble", "archery/000": "archery", "corge/000": "corge"}},
        "counts": {"train": 100, "test_seen": 9},
    },
    "drawn": {"roles": {"train": NAMES[:12]}, "drawn": {"from": 8, "test_unseen": 5, "seed": 3}},
    "cjme": {
        "recipe": "cjme", "roles": {"train": NAMES[:14], "test_unseen": NAMES[14:]},
        "filters": {"population": {"listed": "optional", "sizes": {"quux": 9, "fred": 8}}},
    },
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "random": {"seed": 5},
    "random, balanced, forced": {"seed": 5, "balance": "category", "force": {"fred": "excluded", "thud": "test_unseen"}},
    "random, other shares": {"seed": 6, "val_unseen": 0.15, "test_unseen": 0.3, "test_seen": 0.2, "val_seen": 0.25, "avoid": []},
    "source_disjoint": {"flavour": "source_disjoint", "seed": 7},
    "source_disjoint, other shares": {"flavour": "source_disjoint", "seed": 8, "test_seen": 0.3, "val_seen": 0.2},
    "published": {"flavour": "published", "classes": "avca"},
    "published, variant, filters": {"flavour": "published", "classes": "avca", "variant": "cls", "filters": ["long", "lost"]},
    "drawn": {"flavour": "random", "classes": "drawn"},
    "cjme": {"flavour": "published", "classes": "cjme"},
}  # fmt: skip


def one(keys: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the split of one configuration and its audit."""
    clips, classes = catalogue()
    if "classes" in keys:
        path = folder / f"{keys['classes']}.yaml"
        path.write_text(yaml.safe_dump(FACTS[keys["classes"]]))
        keys = {**keys, "classes": str(path)}
    config = SplitConfig.model_validate({"pretraining": {"pretrained": "official:train"}, **keys})
    split = build_split(clips, classes, config)
    rng = np.random.default_rng(42)
    vectors = dict(zip(NAMES, rng.standard_normal((len(NAMES), 4)), strict=True))
    vectors = {name: v / np.linalg.norm(v) for name, v in vectors.items()}
    audit = audit_split(split, clips, classes, config, vectors=vectors)

    def plain(text: Any) -> str:
        return str(text).replace(str(folder), "")

    return {
        "counts": split.counts(),
        "clips": lines(
            [plain(v) for v in row] for row in split.clips[["clip_id", "subset", "reason"]].fillna("").to_numpy()
        ),
        "classes": {
            n: [role, plain(why)] for n, role, why in split.classes[["class_name", "role", "reason"]].to_numpy()
        },
        "notes": [plain(note) for note in split.notes],
        "checks": {c.name: [c.count, c.total, c.note, c.examples[:2]] for c in audit.checks if c.name in CHECKS},
        "excluded": {plain(k): v for k, v in audit.excluded.items()},
    }


def values() -> dict[str, Any]:
    """Return all splits."""
    with TemporaryDirectory() as folder:
        return {name: one(keys, Path(folder)) for name, keys in CONFIGS.items()}
