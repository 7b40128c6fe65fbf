"""Checks on classes: disjointness, overlap with label sets, near duplicates, order of the class embeddings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import AvzslError
from splits.check import ROWS, Check
from splits.labels import load_labels
from splits.overlap import COLUMNS, find_overlap, words
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
        Check("class_disjointness", "test_unseen classes with clips in stage-2 training", len(both), len(tested), both[:ROWS]),
        Check("stage_1_disjointness", "unseen classes with clips in stage-1 training", len(stage_1), len(tested | validated), stage_1[:ROWS]),
        Check("val_unseen_is_test_unseen", "val_unseen classes that are test_unseen too", len(tested & validated), len(validated), sorted(tested & validated)[:ROWS]),
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
) -> list[Check]:
    """Count the test_unseen classes that a seen class resembles: by the cosine of their vectors, and by a common label.

    `vectors` are class embeddings by class name; without them `overlap.vectors` serves. Without either only classes
    of the same words resemble each other.
    """
    tested = sorted(roles.loc[roles["role"] == "test_unseen", "class_name"])
    seen = sorted(roles.loc[roles["role"].isin(["train", "val_unseen"]), "class_name"])
    phrase = dict(zip(classes["class_name"], classes["phrase"], strict=True))
    pairs = _cosines(tested, seen, phrase, config, vectors)
    note = f"cosine above {config.overlap.threshold:g}"
    if pairs is None:
        same = {(a, b) for a in tested for b in seen if words(phrase[a]) == words(phrase[b])}
        pairs = {a: f"{b} (the same words)" for a, b in sorted(same)}
        note = "no word vectors were given: only the same words count"
    examples = [f"{name} ~ {other}" for name, other in pairs.items()]
    title = "test_unseen classes whose name resembles that of a seen class"
    checks = [Check("near_duplicate_names", title, len(pairs), len(tested), examples, note)]

    common: dict[str, str] = {}
    own = overlap[overlap["class_name"].isin(tested)].merge(
        overlap[overlap["class_name"].isin(seen)], on=["label_set", "label"], suffixes=("", "_seen")
    )
    for name, other, label in own[["class_name", "class_name_seen", "label"]].sort_values("label").to_numpy():
        common.setdefault(name, f"{name} ~ {other} (both {label!r})")
    title = "test_unseen classes that overlap with the same label as a seen class"
    return [*checks, Check("same_label_classes", title, len(common), len(tested), sorted(common.values()))]


def _cosines(
    tested: list[str],
    seen: list[str],
    phrase: dict[str, str],
    config: SplitConfig,
    vectors: dict[str, np.ndarray] | None,
) -> dict[str, str] | None:
    """Return test_unseen class -> nearest seen class above the threshold; None without vectors."""
    if vectors is not None:
        tested, seen = ([name for name in names if name in vectors] for names in (tested, seen))
        a, b = (np.array([vectors[name] for name in names]) for names in (tested, seen))
    elif config.overlap.vectors is not None:
        a, b = phrase_vectors(config.overlap.vectors, *([phrase[n] for n in names] for names in (tested, seen)))
    else:
        return None
    if not tested or not seen:
        return {}
    cosine = a @ b.T
    nearest = cosine.argmax(axis=1)
    return {
        tested[i]: f"{seen[j]} (cosine {cosine[i, j]:.2f})"
        for i, j in enumerate(nearest)
        if cosine[i, j] > config.overlap.threshold
    }


def embedding_order(classes: pd.DataFrame) -> Check:
    """Count the classes that the released loader gives another class's vector.

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
    return Check("embedding_order", title, len(wrong), len(classes), wrong[:ROWS], note)


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
        Check("classes_without_clips", "classes of the data set without any clip", len(without), len(roles), without[:ROWS]),
        Check("classes_without_test", "classes without a test clip", len(missing), len(active), missing[:ROWS]),
        Check("small_test_classes", "test_unseen classes with fewer than 5 clips", len(few), len(sizes), few[:ROWS]),
    ]  # fmt: skip
