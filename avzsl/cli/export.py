"""`avzsl export`: features and split in the layout that the released code reads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from avzsl.config.load import load_project


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "export",
        help="write features and split for the released AVCA code",
        description="Write the averaged features of a benchmark as features/main_features/{audio,video}/<split>/<class>.h5 and its "
        "split as stage_*.csv and stage_*.txt, as the released AVCA code reads them. The other way round, a feature set with "
        "`released: FOLDER` trains on such files (config/features/selavi-released.yaml).",
    )
    parser.add_argument("benchmark", help="name in the configuration")
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--config", default="config/config.yaml", help="default: %(default)s")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the files and say how many clips each list holds."""
    from avzsl.contracts.errors import ConfigError
    from avzsl.contracts.schemas import SPLIT, SPLIT_CLASSES
    from avzsl.contracts.tables import read_table
    from extractors.published import export_features
    from splits import Split, write_lists

    project = load_project(options.config)
    if options.benchmark not in project.benchmarks:
        raise ConfigError(
            f"{options.config}: there is no benchmark {options.benchmark!r}; known: {', '.join(project.benchmarks)}"
        )
    benchmark = project.benchmarks[options.benchmark]
    folder = Path(project.config.results) / benchmark.dataset
    lists = folder / "splits" / benchmark.split
    clips = read_table(lists / "split.parquet", SPLIT)
    write_lists(Split(clips, read_table(lists / "classes.parquet", SPLIT_CLASSES)), options.out / "class-split")
    pack = folder / "features" / benchmark.features
    counts = export_features(pack / "packed.safetensors", pack / "packed.parquet", clips, options.out)
    for name, number in counts.items():
        sys.stdout.write(f"{name}: {number} clips\n")
    return 0
