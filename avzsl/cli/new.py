"""`avzsl new`: the configuration of a data set of yours."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "new",
        help="write the configuration of a data set of yours",
        description="Write the configuration of a data set of yours, never over one that is there. With VIDEOS, a folder with a "
        "sub-folder for each class: config/datasets/NAME.yaml, and what was found, which names need a look, what will be used "
        "and how long it will take. With --features, config/datasets/NAME.yaml and config/features/NAME.yaml for features that "
        "you have on disk, which are checked: FOLDER holds clips.csv (clip_id, class_name) and the arrays of docs/own-features.md, averaged or per step. With --released, the released features of AVCA's data sets, which are trained on as they are, with both presets and the published numbers beside. "
        "It says at the end what to run: that trains and evaluates.",
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
        "--embeddings",
        default="sentences",
        metavar="TABLE",
        help="with --features: word vectors of the class names; default: MiniLM, which reads any wording",
    )
    parser.add_argument("--config", default="config/config.yaml", help="default: %(default)s")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write what the options ask for and say what was found."""
    import re

    from avzsl.contracts.errors import ConfigError

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", options.name):
        raise ConfigError(f"new: {options.name!r} is no name of a data set; use letters, digits, - and _")
    if [options.features, options.videos, options.released].count(None) != 2:
        raise ConfigError("new: give a folder of videos, a folder of features with --features, or --released PATH")
    if options.released is not None:
        return _released(options.name, options.released, Path(options.config))
    if options.videos is not None:
        return _videos(options.name, options.videos, Path(options.config).parent)
    return _features(options.name, options.features, options.embeddings, Path(options.config).parent)


def _features(name: str, given: Path, embeddings: str, config: Path) -> int:
    """Read all features once, write data set and feature set, and say what was found."""
    import os

    from avzsl.contracts.atomic import write_text
    from avzsl.contracts.errors import AvzslError, ConfigError
    from avzsl.starters.features import COMMAND, render, report
    from avzsl.starters.videos import LEAST_CLASSES

    folder = given.expanduser().absolute()
    files = {config / at: text for at, text in render(name, folder, 0, embeddings).items()}
    for path in files:
        if path.exists():
            raise ConfigError(f"{path}: is there already; choose another name or remove it")
    table, classes = _check(name, folder)
    if classes < LEAST_CLASSES:
        raise AvzslError(f"{folder / 'clips.csv'}: names {classes} classes; a benchmark needs {LEAST_CLASSES}")
    for at, text in render(name, folder, len(table), embeddings).items():
        write_text(config / at, text)
    lines = [
        *report(table, classes, embeddings, os.cpu_count() or 1),
        *(f"wrote {path}" for path in files),
        f"now: {COMMAND.format(name=name)}",
    ]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
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


def _check(name: str, folder: Path) -> tuple[Any, int]:
    """Import the features into a folder that is thrown away; return what became of each clip, and how many classes there are."""
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
        table = import_own(
            folder, name, features, list(catalog.clips["clip_id"]),
            Path(scratch) / "f.safetensors", Path(scratch) / "f.parquet",
        )  # fmt: skip
        return table, len(catalog.classes)
