"""`avzsl new`: the configuration of a data set of yours."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

DATASET = """\
# Clips of {folder}/clips.csv with features that exist already (docs/own-features.md).
title: {name}
catalog:
  module: table
  clips: {clips}
features: {name}
embeddings:
  table: {table}
{split}"""

FEATURES = """\
# Features of one's own: nothing is extracted.
title: {name}
arrays: {folder}
audio_step_seconds: 1.0       # where steps come without times: how long one is
visual_step_seconds: 1.0
"""

# With few clips the papers' shares leave subsets empty.
SMALL = """\
splits:
  default:
    test_seen: 0.25
    val_seen: 0.25
"""


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "new",
        help="write the configuration of a data set of yours",
        description="Write the configuration of a data set of yours, never over one that is there. With VIDEOS, a folder with a "
        "sub-folder for each class: config/datasets/NAME.yaml, and what was found, which names need a look, what will be used "
        "and how long it will take. With --features, config/datasets/NAME.yaml and config/features/NAME.yaml for features that "
        "you have on disk, which are checked: FOLDER holds clips.csv (clip_id, class_name) and the arrays of docs/own-features.md, averaged or per step. With --released, the released features of AVCA's data sets, which are trained on as they are, with both presets and the published numbers beside. "
        "Then `snakemake --cores all --config benchmarks=NAME` trains and evaluates on them; no video is needed.",
    )
    parser.add_argument("name", help="letters, digits, - and _")
    parser.add_argument("videos", nargs="?", type=Path, metavar="VIDEOS", help="folder of videos, a sub-folder a class")
    parser.add_argument("--features", type=Path, metavar="FOLDER", help="clips.csv and arrays, in place of videos")
    parser.add_argument(
        "--released", type=Path, nargs="+", metavar="PATH",
        help="released features of NAME (ucf, vggsound, activitynet): the authors' archive (zip) or its folder, and where lists "
        "and word vectors are if not in it; no video is needed",
    )  # fmt: skip
    parser.add_argument(
        "--embeddings", default="glove-6b-50d", metavar="TABLE", help="word vectors; default: %(default)s"
    )
    parser.add_argument("--config", default="config/config.yaml", help="default: %(default)s")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read all features once, write both files, and say what was found."""
    import re

    import yaml

    from avzsl.contracts.atomic import write_text
    from avzsl.contracts.errors import ConfigError

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", options.name):
        raise ConfigError(f"new: {options.name!r} is no name of a data set; use letters, digits, - and _")
    if [options.features, options.videos, options.released].count(None) != 2:
        raise ConfigError("new: give a folder of videos, a folder of features with --features, or --released PATH")
    if options.released is not None:
        return _released(options.name, options.released, Path(options.config))
    if options.videos is not None:
        return _videos(options.name, options.videos, Path(options.config).parent)
    folder, config = options.features, Path(options.config).parent
    files = {kind: config / kind / f"{options.name}.yaml" for kind in ("datasets", "features")}
    for path in files.values():
        if path.exists():
            raise ConfigError(f"{path}: is there already; choose another name or remove it")
    table = _check(options.name, folder)
    counts = table["status"].value_counts()
    small = SMALL if len(table) < 1000 else ""
    write_text(
        files["datasets"],
        DATASET.format(
            name=options.name, folder=folder, clips=yaml.safe_dump(str(folder / "clips.csv")).split("\n")[0],
            table=options.embeddings, split=small,
        ),
    )  # fmt: skip
    write_text(files["features"], FEATURES.format(name=options.name, folder=yaml.safe_dump(str(folder)).split("\n")[0]))
    steps = table[table["status"] == "ok"]
    sys.stdout.write(
        f"{len(table)} clips: {', '.join(f'{n} {status}' for status, n in counts.items())}\n"
        f"steps a clip: {steps['audio_steps'].min()} to {steps['audio_steps'].max()} of sound, "
        f"{steps['visual_steps'].min()} to {steps['visual_steps'].max()} of picture\n"
    )
    for row in table[table["status"] != "ok"].head(5).itertuples():
        sys.stdout.write(f"  {row.clip_id!r}: {row.status}: {row.reason}\n")
    sys.stdout.write(
        "".join(f"wrote {path}\n" for path in files.values())
        + f"now: snakemake --cores all --config benchmarks={options.name}\n"
    )
    return 0


def _videos(name: str, videos: Path, config: Path) -> int:
    """Write the data set of a folder of videos and say what was found."""
    import os

    from avzsl.contracts.atomic import write_text
    from avzsl.contracts.errors import ConfigError
    from avzsl.starters.videos import COMMAND, look, render, report

    path = config / "datasets" / f"{name}.yaml"
    if path.exists():
        raise ConfigError(f"{path}: is there already; choose another name or remove it")
    root = videos.expanduser().absolute()
    found = look(name, root)
    write_text(path, render(name, root, found))
    lines = [
        *report(found, os.cpu_count() or 1),
        f"wrote {path}",
        f"now: {COMMAND.format(name=name)}",
    ]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _released(name: str, paths: list[Path], project: Path) -> int:
    """Write data set, feature sets and project of released features, and say what was found."""
    from avzsl.contracts.atomic import write_text
    from avzsl.contracts.errors import ConfigError
    from avzsl.starters.released import look, render

    found = look(name, [path.expanduser() for path in paths])
    own = project if not project.exists() else project.with_name(f"{name}-released.yaml")
    files = {(own if at == "PROJECT" else project.parent / at): text for at, text in render(name, found).items()}
    for path in files:
        if path.exists():
            raise ConfigError(f"{path}: is there already; remove it to have it written anew")
    for path, text in files.items():
        write_text(path, text)
    named = "" if own == project else f" --configfile {own}"
    sys.stdout.write(
        f"{found.clips} clips of {len(found.classes)} classes; features: "
        f"{', '.join(f'{kind} ({place.path.name}: {place.within})' for kind, place in found.features.items())}\n"
        + "".join(f"wrote {path}\n" for path in files)
        + f"now: snakemake --cores all{named}\n"
    )
    return 0


def _check(name: str, folder: Path) -> Any:
    """Import the features into a folder that is thrown away; return the table of what became of each clip."""
    import tempfile

    from avzsl.config.dataset import DatasetConfig
    from avzsl.config.features import FeaturesConfig
    from extractors.own import import_own
    from splits.catalogs import build_catalog

    dataset = DatasetConfig.model_validate(
        {"catalog": {"module": "table", "clips": str(folder / "clips.csv")}, "embeddings": {"table": "demo"}}
    )
    with tempfile.TemporaryDirectory(prefix="avzsl-new-") as scratch:
        catalog = build_catalog(name, dataset, Path(scratch))
        features = FeaturesConfig(arrays=str(folder))
        return import_own(
            folder, name, features, list(catalog.clips["clip_id"]),
            Path(scratch) / "f.safetensors", Path(scratch) / "f.parquet",
        )  # fmt: skip
