"""Which classes are seen, unseen in stage 1, and unseen for good."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd

from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import ConfigError
from avzsl.contracts.schemas import CLASS_ROLES, EXCLUDED

Roles = dict[str, tuple[str, str]]  # class name -> (role, reason)


def draw_roles(classes: pd.DataFrame, split: SplitConfig, overlap: pd.DataFrame) -> tuple[Roles, list[str]]:
    """Give every class a role: forced, seen because of an overlap, or drawn with the seed.

    `classes` holds class_name, category and clips; `overlap` is the table of `splits.overlap.find_overlap`.
    The candidates are sorted by name and permuted by `RandomState(seed)`; test_unseen takes the first, as the
    released ActivityNet split does. Returns the roles and notes for people.

    Raises ConfigError if a forced class does not exist or a role would stay empty.
    """
    roles: Roles = {}
    known = set(classes["class_name"])
    strangers = sorted(set(split.force) - known)
    if strangers:
        raise ConfigError(f"force: the data set has no class {', '.join(map(repr, strangers))}")
    populated = classes[classes["clips"] > 0]
    for name in sorted(known - set(populated["class_name"])):
        roles[name] = (EXCLUDED, "no clips")
    forced = {name: role for name, role in split.force.items() if name not in roles}
    roles |= {name: (role, "forced") for name, role in forced.items()}

    evidence = _first_evidence(overlap)
    free = populated[~populated["class_name"].isin(list(roles))].sort_values("class_name")
    overlapping = [name for name in free["class_name"] if name in evidence]
    candidates = free[~free["class_name"].isin(overlapping)]
    taking_part = [n for n in populated["class_name"] if roles.get(n, ("", ""))[0] != EXCLUDED]
    wanted = _wanted(split, len(taking_part), list(forced.values()))
    wanted, notes = _feasible(wanted, len(candidates), len(taking_part), list(forced.values()), overlapping, split)

    order = _draw_order(candidates, split)
    cut = wanted["test_unseen"]
    drawn = {name: "test_unseen" for name in order[:cut]}
    drawn |= {name: "val_unseen" for name in order[cut : cut + wanted["val_unseen"]]}
    for name in order:
        roles[name] = (drawn.get(name, "train"), f"drawn with seed {split.seed}")
    for name in overlapping:
        roles[name] = ("train", f"overlap: {evidence[name]}")
    return roles, notes


def redrawn(roles: Roles, split: SplitConfig) -> Roles:
    """Draw anew which of the listed unseen classes are val_unseen and test_unseen: as many of each, with the seed.

    A listed train class stays one (it may overlap with a backbone's labels), a forced class what it is.
    """
    free = sorted(n for n, (role, why) in roles.items() if role in ("val_unseen", "test_unseen") and why != "forced")
    tested = sum(roles[name][0] == "test_unseen" for name in free)
    order = np.random.RandomState(split.seed).permutation(len(free))
    drawn = {free[at]: "test_unseen" if place < tested else "val_unseen" for place, at in enumerate(order)}
    return roles | {name: (role, f"drawn with seed {split.seed} of the unseen classes") for name, role in drawn.items()}


def check_roles(roles: Roles, where: str) -> None:
    """Raise ConfigError that names `where` if train, val_unseen or test_unseen has no class."""
    for role in CLASS_ROLES:
        if not any(own == role for own, _ in roles.values()):
            raise ConfigError(f"{where}: no class has the role {role}; every role needs at least one class with clips")


def _wanted(split: SplitConfig, total: int, forced: Iterable[str]) -> dict[str, int]:
    taken = list(forced)
    shares = {"test_unseen": split.test_unseen, "val_unseen": split.val_unseen}
    return {role: max(_round(share * total), 1) - taken.count(role) for role, share in shares.items()}


def _feasible(
    wanted: dict[str, int], candidates: int, total: int, forced: list[str], overlapping: list[str], split: SplitConfig
) -> tuple[dict[str, int], list[str]]:
    """Shrink what is wanted to what the candidates allow; every role keeps one class at least."""
    wanted = {role: max(number, 0) for role, number in wanted.items()}
    if total < len(CLASS_ROLES):
        raise ConfigError(f"a split needs at least 3 classes with clips; this data set has {total}")
    # One class must stay for training unless one is there already.
    spare = candidates - (0 if overlapping or "train" in forced else 1)
    need = sum(role not in forced for role in wanted)
    if spare < need:
        why = f"; {len(overlapping)} overlap with {', '.join(split.avoid)}" if overlapping else ""
        raise ConfigError(
            f"only {candidates} of {total} classes may be unseen{why}: too few for val_unseen and test_unseen. "
            "Add classes, shorten `avoid` or `overlap.rules`, or give roles with `force`"
        )
    asked = sum(wanted.values())
    if asked <= spare:
        return wanted, []
    test = min(max(_round(spare * wanted["test_unseen"] / asked), int("test_unseen" not in forced)), spare)
    if "val_unseen" not in forced:
        test = min(test, spare - 1)
    fewer = {"test_unseen": test, "val_unseen": spare - test}
    return fewer, [
        f"{asked} unseen classes were asked for, but only {spare} may be unseen: "
        f"{fewer['val_unseen']} val_unseen and {fewer['test_unseen']} test_unseen"
    ]


def _draw_order(candidates: pd.DataFrame, split: SplitConfig) -> list[str]:
    """Return class names in the order in which they are drawn."""
    rng = np.random.RandomState(split.seed)
    names = candidates["class_name"].to_numpy()[rng.permutation(len(candidates))]
    if split.balance == "none":
        return [str(name) for name in names]
    # Deal one class of every category in turn, so that any prefix is as even as the categories allow:
    # the k-th class of a category of n is dealt at time (k + 1/2) / n.
    category = dict(zip(candidates["class_name"], candidates["category"].fillna(""), strict=True))
    size = Counter(category.values())
    count: dict[str, int] = {}
    dealt = []
    for position, name in enumerate(names):
        own = category[name]
        dealt.append(((count.get(own, 0) + 0.5) / size[own], position, str(name)))
        count[own] = count.get(own, 0) + 1
    return [name for _, _, name in sorted(dealt)]


def _first_evidence(overlap: pd.DataFrame) -> dict[str, str]:
    evidence: dict[str, str] = {}
    for name, label_set, label, kind in overlap[["class_name", "label_set", "label", "kind"]].to_numpy():
        evidence.setdefault(name, f"{label_set} {label!r} ({kind})")
    return evidence


def _round(value: float) -> int:
    return math.floor(value + 0.5)
