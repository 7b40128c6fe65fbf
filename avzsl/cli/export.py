"""`avzsl export`: features and split in the layout that the released code reads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from avzsl.cli import add_project


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "export",
        help="write features and split for the released AVCA code",
        description="Write the averaged features of a benchmark as features/main_features/{audio,video}/<split>/<class>.h5 and its "
        "split as stage_*.csv and stage_*.txt, as the released AVCA code reads them. The other way round, a feature set with "
        "`released: FOLDER` trains on such files (config/features/selavi-released.yaml). With --steps the features of every step are "
        "written, as plain arrays or as the pickles of TCaF's layout (docs/own-features.md).",
    )
    parser.add_argument("benchmark", help="name in the configuration")
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument(
        "--steps",
        choices=("arrays", "pickles"),
        help="every step in the place of averages: features.safetensors and clips.csv, or a pickle a subset",
    )
    add_project(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the files and say how many clips each list holds."""

    from avzsl.contracts.errors import ConfigError
    from avzsl.contracts.schemas import SPLIT, SPLIT_CLASSES
    from avzsl.contracts.tables import read_table
    from avzsl.results.places import Places
    from avzsl.results.project import find_project
    from extractors.packing import shards_of
    from extractors.released_features import export_features
    from extractors.steps_out import export_steps
    from splits import Split, write_lists

    project = find_project(options.config, options.results)
    if options.benchmark not in project.benchmarks:
        raise ConfigError(f"there is no benchmark {options.benchmark!r}; known: {', '.join(project.benchmarks)}")
    benchmark = project.benchmarks[options.benchmark]
    places, dataset, features = Places(Path(project.config.results)), benchmark.dataset, benchmark.features
    clips = read_table(places.split_clips(dataset, benchmark.split), SPLIT)
    classes = read_table(places.split_classes(dataset, benchmark.split), SPLIT_CLASSES)
    write_lists(Split(clips, classes), options.out / "class-split")
    pack = places.features(dataset, features)
    averages, manifest = places.pack(dataset, features), places.pack_manifest(dataset, features)
    if options.steps is None:
        counts = export_features(averages, manifest, clips, options.out)
    else:
        counts = export_steps(shards_of(pack), averages, clips, options.out, pickled=options.steps == "pickles")
    for name, number in counts.items():
        sys.stdout.write(f"{name}: {number} clips\n")
    return 0
