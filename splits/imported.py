"""The flavour `imported`: released lists as they are, checked against the catalogue."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from avzsl.config.splits import SplitConfig
from avzsl.contracts.errors import AvzslError
from avzsl.contracts.schemas import EXCLUDED
from splits.lists import Lists, read_lists
from splits.roles import Roles


def imported(frame: pd.DataFrame, names: list[str], split: SplitConfig, cache: Path | None) -> tuple[Roles, list[str]]:
    """Fill `subset` and `reason` of `frame` (clip_id, class_name) from the split's lists.

    Returns the roles of the classes `names` and every difference between lists and catalogue, one sentence each:
    clips that the catalogue does not hold, other labels, clips in two lists, classes that only one of .csv and .txt
    has. Class names are compared without case, since UCF's lists say HandStandPushups and its folder HandstandPushups.

    Raises AvzslError if the lists and the catalogue have nothing in common.
    """
    assert split.lists is not None  # SplitConfig says so
    lists = read_lists(split.lists, split.variant, cache)
    own_name = {name.lower(): name for name in names}
    differences = list(lists.problems)
    roles = _roles(lists, own_name, names, differences)
    place = _places(lists, differences)
    class_of = dict(zip(frame["clip_id"], frame["class_name"], strict=True))
    listed = [clip_id for clip_id in place if clip_id in class_of]
    if not listed:
        raise AvzslError(
            f"{lists.where}: none of its {len(place)} clips is in the catalogue; is it of another data set?"
        )
    for clip_id, (_, label) in place.items():
        if clip_id not in class_of:
            differences.append(f"{clip_id}: listed as {label}, not in the catalogue")
        elif class_of[clip_id].lower() != label.lower():
            differences.append(f"{clip_id}: listed as {label}, {class_of[clip_id]} in the catalogue")
    subset = frame["clip_id"].map({clip_id: where for clip_id, (where, _) in place.items()})
    reason = pd.Series(None, index=frame.index, dtype=object)
    reason[subset.isna()] = "in none of the lists"
    reason[subset == EXCLUDED] = "a trn clip of an unseen class"
    for name, (role, why) in roles.items():
        if role == EXCLUDED:
            out = (frame["class_name"] == name) & subset.notna()
            subset[out], reason[out] = EXCLUDED, f"class excluded: {why}"
    frame["subset"], frame["reason"] = subset.fillna(EXCLUDED), reason
    return roles, differences


def differences_from(clips: pd.DataFrame, split: SplitConfig, cache: Path | None) -> list[str]:
    """Return every clip whose subset in `clips` (SPLIT schema) is not that of the split's lists, one sentence each."""
    assert split.lists is not None
    found: list[str] = []
    place = _places(read_lists(split.lists, split.variant, cache), found)
    made = {clip_id: subset for clip_id, subset in clips[["clip_id", "subset"]].to_numpy() if subset != EXCLUDED}
    for clip_id in sorted(set(made) | set(place)):
        here, there = made.get(clip_id, "none"), place.get(clip_id, ("none", ""))[0]
        if here != there:
            found.append(f"{clip_id}: {here} here, {there} in the lists")
    return found


def _roles(lists: Lists, own_name: dict[str, str], names: list[str], differences: list[str]) -> Roles:
    roles: Roles = {name: (EXCLUDED, "not in the class lists") for name in names}
    for role in ("train", "val_unseen", "test_unseen"):
        for listed in lists.classes.get(role, []):
            name = own_name.get(listed.lower())
            if name is None:
                differences.append(f"class {listed}: in the list of {role}, not in the catalogue")
            else:
                roles[name] = (role, "imported")
        carried = {label.lower() for label in lists.clips.get(role, {}).values()}
        missing = sorted(carried - {listed.lower() for classes in lists.classes.values() for listed in classes})
        differences += [
            f"class {own_name.get(n, n)}: has clips in the list of {role}, but no line in its .txt" for n in missing
        ]
        for name in missing:
            if name in own_name:
                roles[own_name[name]] = (EXCLUDED, "its clips are listed, the class is not")
    return roles


def _places(lists: Lists, differences: list[str]) -> dict[str, tuple[str, str]]:
    place: dict[str, tuple[str, str]] = {}
    for subset, clips in lists.clips.items():
        for clip_id, label in clips.items():
            if clip_id in place:
                differences.append(f"{clip_id}: in the lists of {place[clip_id][0]} and {subset}")
            else:
                place[clip_id] = (subset, label)
    return place
