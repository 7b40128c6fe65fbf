"""The papers' tables about the data: AVCA's Table 1, CJME's Tables 1 and 8 to 10."""

from __future__ import annotations

import pandas as pd

from avzsl.contracts.schemas import BENCHMARK_CLASSES, CLASS_ROLES, SUBSETS
from avzsl.contracts.tables import read_table
from avzsl.tables.fill import Measured
from avzsl.tables.render import Grid

# CJME has three subsets of the clips of every class; these are the ones they correspond to.
THREE = {"train": ("train",), "val": ("val_seen", "val_unseen"), "test": ("test_seen", "test_unseen")}


def counts(measured: Measured) -> dict[str, Grid]:
    """Return the tables of counts by name; only clips that have features and a class embedding are counted."""
    clips = measured.clips
    classes = read_table(measured.places.benchmark_classes(measured.benchmark.name), BENCHMARK_CLASSES)
    usable = clips[clips["usable"]]
    note = f"{len(usable)} of {len(clips)} listed clips are usable."
    name, roles = measured.benchmark.name, classes["role"].value_counts()
    by_role = " / ".join(str(roles.get(role, 0)) for role in CLASS_ROLES)
    total = str(sum(int(roles.get(role, 0)) for role in CLASS_ROLES))
    sizes = [str(int((usable["subset"] == subset).sum())) for subset in SUBSETS]
    headings = ["Dataset", "classes: all", "tr / v(U) / ts(U)", "videos: tr", "v (S)", "v (U)", "ts (S)", "ts (U)"]
    grids = {
        "avca-table-1": Grid(
            "Classes and videos of the benchmark.", headings, [[name, total, by_role, *sizes]], 1, (note,)
        )
    }

    subsets = {"all": SUBSETS, **THREE}
    sizes_by_class = {
        key: usable[usable["subset"].isin(parts)].groupby("class_name").size() for key, parts in subsets.items()
    }
    # Each class has clips of its own role's subsets only, so the least is over the classes that are there.
    described = [[key, *_describe(s)] for key, s in sizes_by_class.items()]
    headings = ["split", "classes", "min", "max", "mean", "std. dev."]
    grids["cjme-table-1"] = Grid("Examples per class.", headings, described[:1], 1, (note,))
    grids["cjme-table-8"] = Grid("Examples per class and subset.", headings, described[1:], 1, (note,))

    unseen = set(classes.loc[classes["role"] == "test_unseen", "class_name"])
    rows = []
    for label, inside in (("seen classes", False), ("unseen classes", True), ("Total", None)):
        part = usable if inside is None else usable[usable["class_name"].isin(unseen) == inside]
        rows.append([label, *(str(int(part["subset"].isin(subsets[key]).sum())) for key in THREE)])
    grids["cjme-table-9"] = Grid("Examples of seen and unseen classes.", ("class", *THREE), rows, 1, (note,))
    names = sorted(classes.loc[classes["role"].isin(CLASS_ROLES), "class_name"])
    rows = [[n, *(str(int(sizes_by_class[key].get(n, 0))) for key in THREE)] for n in names]
    grids["cjme-table-10"] = Grid("Examples of each class.", ("class", *THREE), rows, 1, (note,))
    return grids


def _describe(sizes: pd.Series) -> list[str]:
    if sizes.empty:
        return ["0", *["–"] * 4]
    return [str(len(sizes)), str(sizes.min()), str(sizes.max()), f"{sizes.mean():.2f}", f"{sizes.std(ddof=0):.2f}"]
