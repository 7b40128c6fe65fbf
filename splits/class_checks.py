"""Checks on classes: disjointness, overlap with label sets, near duplicates, order of the class embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import AvzslError
from splits.check import EXAMPLES, Check
from splits.labels import load_labels
from splits.overlap import COLUMNS, find_overlap
from splits.vectors import phrase_vectors

TRAINED = ("train", "val_seen", "val_unseen")


def disjointness(table: pd.DataFrame) -> list[Check]:
    """Count the unseen classes whose clips are trained on: in the whole, and in stage 1."""
    members = {subset: set(group["class_name"]) for subset, group in table.groupby("subset")}
    tested, validated = members.get("test_unseen", set()), members.get("val_unseen", set())
    trained = set().union(*(members.get(subset, set()) for subset in TRAINED))
    first = members.get("train", set()) | members.get("val_seen", set())
    both = sorted(tested & trained)
    stage_1 = sorted((tested | validated) & first)
    return [
        Check("class_disjointness", "test_unseen classes with clips in stage-2 training", len(both), len(tested), both[:EXAMPLES]),
        Check("stage_1_disjointness", "unseen classes with clips in stage-1 training", len(stage_1), len(tested | validated), stage_1[:EXAMPLES]),
        Check("val_unseen_is_test_unseen", "val_unseen classes that are test_unseen too", len(tested & validated), len(validated), sorted(tested & validated)[:EXAMPLES]),
    ]  # fmt: skip


def label_overlap(
    roles: pd.DataFrame, classes: pd.DataFrame, config: SplitConfig, cache: Path | None
) -> tuple[list[Check], pd.DataFrame]:
    """Count the unseen classes that a label set of `avoid` holds; returns the whole overlap table as well."""
    checks, tables = [], [pd.DataFrame(columns=COLUMNS)]
    unseen = roles[roles["role"].isin(["val_unseen", "test_unseen"])].set_index("class_name")["role"].to_dict()
    for name in config.avoid:
        title = f"unseen classes that overlap with {name}"
        try:
            labels = load_labels(name, config.overlap.files, cache)
        except AvzslError as error:
            checks.append(Check(f"overlap_{name}", title, None, len(unseen), note=f"not checked: {error}"))
            continue
        found = find_overlap(classes, {name: labels}, config.overlap)
        tables.append(found)
        hit = found[found["class_name"].isin(list(unseen))]
        examples = [
            f"{c} ({unseen[c]}): {label} ({kind})"
            for c, label, kind in hit.drop_duplicates("class_name")[["class_name", "label", "kind"]].to_numpy()
        ]
        checks.append(Check(f"overlap_{name}", title, len(examples), len(unseen), examples))
    return checks, pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)


def near_duplicates(
    roles: pd.DataFrame,
    classes: pd.DataFrame,
    overlap: pd.DataFrame,
    config: SplitConfig,
    vectors: dict[str, np.ndarray] | None,
) -> Check:
    """Count the test_unseen classes that a seen class resembles: by cosine, or as the same label of a label set.

    `vectors` are class embeddings by class name; without them, and without `overlap.vectors`, only labels are compared.
    """
    tested = sorted(roles.loc[roles["role"] == "test_unseen", "class_name"])
    seen = sorted(roles.loc[roles["role"].isin(["train", "val_unseen"]), "class_name"])
    pairs = _cosines(tested, seen, classes, config, vectors)
    by_label: dict[tuple[str, str], list[str]] = {}
    for name, label_set, label in overlap[["class_name", "label_set", "label"]].to_numpy():
        by_label.setdefault((label_set, label), []).append(name)
    known = set(tested), set(seen)
    for (_, label), names in sorted(by_label.items()):
        for name in sorted(set(names) & known[0]):
            for other in sorted(set(names) & known[1]):
                pairs.setdefault(name, []).append(f"{other} (both {label!r})")
    examples = [f"{name} ~ {others[0]}" for name, others in sorted(pairs.items())]
    note = "" if vectors or config.overlap.vectors else "names are compared by labels only: no word vectors were given"
    return Check(
        "near_duplicate_names",
        "test_unseen classes that resemble a seen class",
        len(pairs),
        len(tested),
        examples,
        note,
    )


def _cosines(
    tested: list[str],
    seen: list[str],
    classes: pd.DataFrame,
    config: SplitConfig,
    vectors: dict[str, np.ndarray] | None,
) -> dict[str, list[str]]:
    phrase = dict(zip(classes["class_name"], classes["phrase"], strict=True))
    if vectors is not None:
        tested, seen = ([name for name in names if name in vectors] for names in (tested, seen))
        a, b = (np.array([vectors[name] for name in names]) for names in (tested, seen))
    elif config.overlap.vectors is not None:
        a, b = (phrase_vectors(config.overlap.vectors, [phrase[n] for n in names]) for names in (tested, seen))
    else:
        return {}
    if not tested or not seen:
        return {}
    cosine = a @ b.T
    pairs: dict[str, list[str]] = {}
    for i, j in np.argwhere(cosine > config.overlap.threshold):
        pairs.setdefault(tested[i], []).append(f"{seen[j]} (cosine {cosine[i, j]:.2f})")
    return pairs


def embedding_order(classes: pd.DataFrame) -> Check:
    """Count the classes that the released loader gives another class's vector (methods specification 0.2).

    It takes rows sorted by phrase for ids sorted by class name.
    """
    ordered = classes.sort_values("class_name")
    wrong = [
        f"{name} gets {used!r}"
        for name, own, used in zip(ordered["class_name"], ordered["phrase"], sorted(ordered["phrase"]), strict=True)
        if own != used
    ]
    title = "classes that the released loader gives the vector of another class"
    note = "avzsl looks class embeddings up by name; this is about the released code"
    return Check("embedding_order", title, len(wrong), len(classes), wrong[:EXAMPLES], note)


def empty_classes(table: pd.DataFrame, roles: pd.DataFrame) -> list[Check]:
    """Count classes that take part but have no clip where they are scored or trained."""
    active = roles[roles["role"] != "excluded"]
    members = {subset: set(group["class_name"]) for subset, group in table.groupby("subset")}
    scored = {"train": "test_seen", "val_unseen": "test_seen", "test_unseen": "test_unseen"}
    missing = sorted(
        n for n, role in active[["class_name", "role"]].to_numpy() if n not in members.get(scored[role], set())
    )
    without = sorted(roles.loc[roles["reason"] == "no clips", "class_name"])
    sizes = table[table["subset"] == "test_unseen"].groupby("class_name").size()
    few = [f"{name}: {size}" for name, size in sizes[sizes < 5].items()]
    return [
        Check("classes_without_clips", "classes of the data set without any clip", len(without), len(roles), without[:EXAMPLES]),
        Check("classes_without_test", "classes without a test clip", len(missing), len(active), missing[:EXAMPLES]),
        Check("small_test_classes", "test_unseen classes with fewer than 5 clips", len(few), len(sizes), few[:EXAMPLES]),
    ]  # fmt: skip
