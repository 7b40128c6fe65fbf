"""Join a split with what became of its clips, and refuse what cannot be trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from avzsl.benchmark.copies import copy_checks, find_copies
from avzsl.benchmark.oddities import odd_checks, open_checks
from avzsl.config.splits import SplitConfig
from avzsl.contracts.class_embeddings import ClassEmbeddings, read_embeddings
from avzsl.contracts.errors import AvzslError, DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.contracts.mapped import map_arrays, rows_in_blocks, verify_arrays
from avzsl.contracts.schemas import (
    BENCHMARK_CLASSES,
    BENCHMARK_CLIPS,
    CLASS_ROLES,
    EXCLUDED,
    FEATURES,
    MEDIA,
    SPLIT,
    SPLIT_CLASSES,
    SUBSETS,
)
from avzsl.contracts.tables import read_table, write_table
from avzsl.contracts.vocabulary import MODALITIES
from avzsl.pretrained.label_sets import LABEL_SETS
from avzsl.results.records import BenchmarkRecord, Hashes, Scores

# What is asked of the tables of millions of clips.
MANIFEST_COLUMNS = ("clip_id", "status", "row", "reason", "visual_steps", "duration_s", "frames")
MEDIA_COLUMNS = ("clip_id", "status", "error", "sha256", "lost_frames", "note")


def assemble(
    split_folder: Path,
    pack: tuple[Path, Path],
    media: Sequence[Path],
    embeddings: Path,
    out: Path,
    name: str = "",
    config: SplitConfig | None = None,
    interim: Sequence[int] | None = None,
) -> None:
    """Write clips.parquet, classes.parquet and benchmark.json of one benchmark to the folder `out`.

    `split_folder` holds split.parquet and classes.parquet; `pack` is (packed.safetensors, packed.parquet); `media` are
    the media manifests of all shards (they say why a clip has no features); `embeddings` the class embeddings.
    Every clip of the split keeps its row, with the stage where it was lost. A class without an embedding, or without
    one usable clip, is excluded with its reason, and its clips with it.

    Copies across subsets are counted with their rows, and left out where `config`, the split's configuration, keeps
    copies on one side. `interim` is how many shards of how many `pack` holds, where it does not hold all: clips of the
    others are not asked for yet. Clips that no split of a benchmark uses are in no pack. Still pictures and silent clips are counted, and used.

    Raises DataError, one sentence that names the file, if the split does not fit the features, features hold NaN or
    infinity, arrays and manifest disagree, or a subset or role is left empty; AvzslError
    if a gate of `config` on copies does not let through what was found.
    """
    split = read_table(split_folder / "split.parquet", SPLIT)
    roles = read_table(split_folder / "classes.parquet", SPLIT_CLASSES)
    arrays_path, manifest_path = pack
    manifest = read_table(manifest_path, FEATURES, MANIFEST_COLUMNS)
    fetched = _fetched(media)
    # The averages stay on the disk: they are as many gigabytes as there are quarter millions of clips.
    verify_arrays(arrays_path)
    arrays, header = map_arrays(arrays_path)
    vectors = read_embeddings(embeddings)
    _check_pack(arrays_path, arrays, header, manifest)
    _check_match(split_folder, split, roles, manifest, manifest_path, interim is not None)

    clips = _join(split, manifest, fetched)
    _check_finite(arrays_path, arrays, clips)
    checks = _copies(clips, arrays, manifest, fetched, config or SplitConfig())
    classes = _classes(roles, clips, vectors)
    lost = dict(zip(classes["class_name"], classes["reason"], strict=True))
    excluded = set(classes.loc[classes["role"] == EXCLUDED, "class_name"])
    gone = clips["class_name"].isin(excluded) & clips["usable"]
    clips.loc[gone, "usable"] = False
    clips.loc[gone, "stage"] = "class"
    clips.loc[gone, "status"] = EXCLUDED
    clips.loc[gone, "reason"] = clips.loc[gone, "class_name"].map(lost)
    counts = _counts(clips, split_folder, manifest_path)
    checks += odd_checks(clips, manifest, fetched, [name for name in MODALITIES if arrays[name].shape[1]])
    named = _named(split_folder, header.get("extractor"), set(classes.loc[classes["role"] != EXCLUDED, "class_name"]))
    unseen_classes = classes.loc[classes["role"].isin(("val_unseen", "test_unseen")), "class_name"]
    checks += open_checks((header.get("extractor") or {}).get("label_sets") or [], named, set(unseen_classes))

    seen = classes["role"].isin(("train", "val_unseen")).sum()
    unseen = (classes["role"] == "test_unseen").sum()
    if (classes["role"] == "train").sum() < 2:
        raise DataError(split_folder, "fewer than two training classes have usable clips; nothing can be learnt")
    write_table(out / "clips.parquet", clips, BENCHMARK_CLIPS)
    write_table(out / "classes.parquet", classes, BENCHMARK_CLASSES)
    lost_at = clips["stage"].astype(str) + ": " + clips["status"].astype(str)
    guess = 100.0 / (seen + unseen)
    BenchmarkRecord(
        name=name,
        hashes=Hashes(
            features=sha256_file(arrays_path),
            split=sha256_file(split_folder / "split.parquet"),
            embeddings=sha256_file(embeddings),
        ),
        clips=counts,
        interim=None if interim is None else (interim[0], interim[1]),
        checks=checks,
        lost=lost_at[~clips["usable"]].value_counts().sort_index().to_dict(),
        classes={
            **{role: int((classes["role"] == role).sum()) for role in (*CLASS_ROLES, EXCLUDED)},
            "excluded_reasons": {n: lost[n] for n in sorted(excluded)},
        },
        # A guess that is uniform over the candidate classes; recall is averaged over classes.
        chance=Scores(seen=guess, unseen=guess, hm=guess, zsl=100.0 / unseen),
        dims={
            "audio": int(arrays["audio"].shape[1]),
            "visual": int(arrays["visual"].shape[1]),
            "text": int(vectors.vectors.shape[1]),
        },
        extractor=header.get("extractor"),
        embeddings=vectors.backend,
        named=named,
    ).write(out / "benchmark.json")


def _named(
    split_folder: Path, extractor: dict[str, Any] | None, classes: set[str]
) -> dict[str, dict[str, list[str]]] | None:
    """Return the labels of the features' own label sets that name a class, from the split's audit; None if not checked."""
    path = split_folder / "audit.json"
    label_sets = (extractor or {}).get("label_sets") or []
    if not label_sets or not path.is_file() or not set(label_sets) <= set(LABEL_SETS):
        return None
    rows = json.loads(path.read_text(encoding="utf-8")).get("tagged")
    if rows is None:
        return None
    named: dict[str, dict[str, list[str]]] = {name: {} for name in label_sets}
    for row in rows:
        if row["label_set"] in named and row["class_name"] in classes:
            named[row["label_set"]].setdefault(row["class_name"], []).append(row["label"])
    return named


def _check_pack(path: Path, arrays: dict[str, np.ndarray], header: dict[str, Any], manifest: pd.DataFrame) -> None:
    for key in ("audio", "visual"):
        if key not in arrays or arrays[key].ndim != 2:
            raise DataError(path, f"holds no array {key!r} of shape (clips, dim); pack the features again")
    ids = header.get("clip_ids", [])
    if not len(arrays["audio"]) == len(arrays["visual"]) == len(ids):
        raise DataError(
            path, f"has {len(arrays['audio'])} audio rows, {len(arrays['visual'])} visual rows and {len(ids)} clip ids"
        )
    have = manifest[manifest["row"] >= 0]
    named = have["row"].to_numpy()
    if (named >= len(ids)).any() or [ids[row] for row in named] != have["clip_id"].tolist():
        raise DataError(path, "its clip ids do not match the rows of its manifest; pack the features again")


def _check_match(
    folder: Path, split: pd.DataFrame, roles: pd.DataFrame, manifest: pd.DataFrame, manifest_path: Path, partial: bool
) -> None:
    # What the split leaves out need not have been fetched.
    needed = split["subset"] != EXCLUDED
    strange = split.loc[needed & ~split["clip_id"].isin(manifest["clip_id"]), "clip_id"]
    if len(strange) and not partial:
        raise DataError(
            folder / "split.parquet",
            f"{len(strange)} of {len(split)} clips, {strange.iloc[0]!r} first, are not in {manifest_path}: "
            "split and features are of different catalogues; build both from the same one",
        )
    unknown = sorted(set(split["class_name"]) - set(roles["class_name"]))
    if unknown:
        raise DataError(folder / "classes.parquet", f"class {unknown[0]!r} of split.parquet has no role")


def _fetched(media: Sequence[Path]) -> pd.DataFrame | None:
    """Return what the MEDIA tables say of every clip, by clip_id; None if there are none."""
    if not media:
        return None
    return pd.concat([read_table(path, MEDIA, MEDIA_COLUMNS) for path in media]).set_index("clip_id")


def _join(split: pd.DataFrame, manifest: pd.DataFrame, media: pd.DataFrame | None) -> pd.DataFrame:
    """Return BENCHMARK_CLIPS before classes are judged: the first stage that lost a clip speaks for it."""
    known = manifest[["clip_id", "status", "reason", "row"]]
    clips = split.merge(known, on="clip_id", how="left", suffixes=("_split", ""))
    clips["row"] = clips["row"].fillna(-1).astype("int64")
    clips["stage"] = None
    absent, failed = clips["status"].isna(), clips["status"] != "ok"
    clips.loc[failed, "stage"] = "features"
    clips.loc[absent, "stage"] = "media"
    clips.loc[absent, "status"] = "not_asked"
    clips.loc[absent, "reason"] = "its shard is not finished yet"
    if media is not None:
        fetched = media.loc[media["status"] != "ok", ["status", "error"]]
        unfetched = failed & clips["clip_id"].isin(fetched.index)
        ids = clips.loc[unfetched, "clip_id"]
        clips.loc[unfetched, "stage"] = "media"
        clips.loc[unfetched, "status"] = ids.map(fetched["status"])
        clips.loc[unfetched, "reason"] = ids.map(fetched["error"])
    outside = clips["subset"] == EXCLUDED
    clips.loc[outside, "stage"] = "split"
    clips.loc[outside, "status"] = EXCLUDED
    clips.loc[outside, "reason"] = clips.loc[outside, "reason_split"]
    clips["usable"] = clips["stage"].isna()
    clips.loc[clips["usable"], "reason"] = None
    return clips[list(BENCHMARK_CLIPS.columns)]


def _copies(
    clips: pd.DataFrame,
    arrays: dict[str, np.ndarray],
    manifest: pd.DataFrame,
    media: pd.DataFrame | None,
    config: SplitConfig,
) -> list[dict[str, Any]]:
    """Return the checks on copies; with `copies: one_side` held-out copies become unusable first."""
    usable = clips.loc[clips["usable"], ["clip_id", "subset", "row"]].reset_index(drop=True)
    hashes = pd.Series(dtype=object) if media is None else media["sha256"]
    lengths = manifest.set_index("clip_id")
    usable["sha256"] = usable["clip_id"].map(hashes)
    usable["length"] = usable["clip_id"].map(lengths["duration_s"].fillna(lengths["visual_steps"])).astype(float)
    copies = find_copies(usable, arrays)
    if config.copies == "one_side" and len(copies):
        first = copies.drop_duplicates("clip_id").set_index("clip_id")
        out = clips["clip_id"].isin(first.index)
        clips.loc[out, "usable"], clips.loc[out, "stage"], clips.loc[out, "status"] = False, "split", EXCLUDED
        words = first["how"] + " as " + first["other"].astype(str)
        clips.loc[out, "reason"] = clips.loc[out, "clip_id"].map(words)
        usable = usable[~usable["clip_id"].isin(first.index)]
        copies = copies.iloc[:0]
    checks = copy_checks(usable, copies, config.gates)
    for check in checks:
        if not check["passed"]:
            raise AvzslError(
                f"gates.{check['name']}: {check['count']} of {check['total']} {check['title']}, for example "
                f"{'; '.join(check['examples'][:3])}; the gate allows {check['limit']:g}; `copies: one_side` leaves them out"
            )
    return checks


def _check_finite(path: Path, arrays: dict[str, np.ndarray], clips: pd.DataFrame) -> None:
    # In the order of the file, which is read from end to end.
    usable = clips.loc[clips["usable"], ["clip_id", "row"]].sort_values("row")
    if (usable["row"] < 0).any():
        clip = usable.loc[usable["row"] < 0, "clip_id"].iloc[0]
        raise DataError(path, f"clip {clip!r} is marked ok but has no row; pack the features again")
    rows = usable["row"].to_numpy()
    for key in ("audio", "visual"):
        for place, part in rows_in_blocks(arrays[key], rows):
            bad = np.flatnonzero(~np.isfinite(part).all(1))
            if len(bad):
                clip = usable["clip_id"].iloc[place.start + bad[0]]
                raise DataError(path, f"the {key} features of clip {clip!r} hold NaN or infinity; extract them again")


def _classes(roles: pd.DataFrame, clips: pd.DataFrame, vectors: ClassEmbeddings) -> pd.DataFrame:
    classes = roles[["class_name", "role", "reason"]].copy()
    listed = clips[clips["subset"] != EXCLUDED].groupby("class_name").size()
    usable = clips[clips["usable"]].groupby("class_name").size()
    classes["listed"] = classes["class_name"].map(listed).fillna(0).astype(int)
    classes["usable"] = classes["class_name"].map(usable).fillna(0).astype(int)
    inside = classes["role"] != EXCLUDED
    # The reason column is for exclusions only: why a class has its role stands in the split.
    classes.loc[inside, "reason"] = None
    unknown = inside & ~classes["class_name"].isin(vectors.class_names)
    for index, name in classes.loc[unknown, "class_name"].items():
        classes.loc[index, "reason"] = f"no class embedding: {vectors.why_missing(name)}"
    empty = inside & ~unknown & (classes["usable"] == 0)
    classes.loc[empty, "reason"] = "no usable clip"
    classes.loc[unknown | empty, "role"] = EXCLUDED
    return classes


def _counts(clips: pd.DataFrame, folder: Path, features: Path) -> dict[str, dict[str, int]]:
    """Return listed and usable clips of each subset; raises DataError for an empty one."""
    counts = {}
    for subset in SUBSETS:
        part = clips[clips["subset"] == subset]
        counts[subset] = {"listed": len(part), "usable": int(part["usable"].sum())}
        if not len(part):
            raise DataError(
                folder / "split.parquet",
                f"subset {subset} holds no clip; give the data set more clips or classes, or change the ratios of its split",
            )
        if not counts[subset]["usable"]:
            why = part["reason"].dropna()
            raise DataError(
                features,
                f"none of the {len(part)} clips of subset {subset} is usable"
                + (f" (the first: {why.iloc[0]})" if len(why) else ""),
            )
    part = clips[clips["subset"] == EXCLUDED]
    return {**counts, EXCLUDED: {"listed": len(part), "usable": 0}}
