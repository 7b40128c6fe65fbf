"""`avzsl predict`: zero-shot recognition of your own clips with any phrases."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from avzsl.cli import add_project


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "predict",
        help="recognise your own clips with any phrases",
        description="Rank phrases for clips, of a whole clip and second by second: a table on the terminal, and JSON and a page "
        "where asked for. Without --run nothing is trained: the nearest phrase to what trained networks of the extra "
        "[pretrained] heard and saw, with the labels that carried the decision; with --features, CLIP and CLAP and their text. With --run the model of a finished run ranks.",
    )
    parser.add_argument(
        "clips", nargs="+", type=Path, metavar="CLIP", help="video files; after `--` they may begin with '-'"
    )
    parser.add_argument(
        "--run", type=Path, dest="run_folder", metavar="RUN",
        help="folder of a run, e.g. results/benchmarks/demo/runs/avca/seed-0; default: none, the nearest phrase",
    )  # fmt: skip
    parser.add_argument(
        "--features", metavar="NAME",
        help="without a run: the networks of this feature set of the extractor clip_clap, e.g. clip-clap, whose text towers "
        "read the phrases; its weights are named in config/features/NAME.yaml, a tokenizer lies beside those of the sound",
    )  # fmt: skip
    parser.add_argument(
        "--labels", required=True, help='phrases separated by commas, e.g. "dog barking, playing violin, rain"'
    )
    parser.add_argument(
        "--json", metavar="FILE", help="write everything as JSON to FILE; - is the terminal, in place of the table"
    )
    parser.add_argument(
        "--html",
        nargs="?",
        const="",
        metavar="FILE",
        help="write a page; without FILE it goes where `avzsl serve` shows it",
    )
    add_project(parser)
    parser.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Predict; the exit status is 1 if no clip could be read."""

    from rich.console import Console

    from avzsl.config.load import Project, load_project
    from avzsl.contracts.atomic import write_json, write_text
    from avzsl.contracts.errors import ConfigError
    from avzsl.contracts.hashing import safe_name
    from avzsl.predict import predict
    from avzsl.predict.show import as_page, as_table
    from avzsl.results.places import Places
    from avzsl.results.project import find_project

    labels = options.labels.split(",")
    results = Path("results")
    if options.features is not None:
        from avzsl.config.check import check_features
        from avzsl.predict.captions import predict_captions

        if options.run_folder is not None:
            raise ConfigError("predict: give --run or --features, not both: a run has the features it was trained on")
        project: Project
        usual = Path("config/config.yaml")
        # The feature set is a file that people edit, whatever the last run was built with.
        config = (
            str(usual) if options.config is None and options.results is None and usual.is_file() else options.config
        )
        try:
            project = find_project(config, options.results)
        except ConfigError:
            # Clips can be named in any folder: the feature sets that come with avzsl are there without a project.
            if config is not None or options.results is not None:
                raise
            project = load_project()
        check_features(project, options.features)
        results = Path(project.config.results)
        predictions = predict_captions(
            options.clips, labels, options.features, project.features(options.features), project.config.device,
            options.threads, Places(results, Path(project.config.data)).weights,
        )  # fmt: skip
    elif options.run_folder is None:
        from avzsl.predict.nearest import predict_nearest

        # Clips can be named in any folder, so a configuration is read only if there is one.
        device = "auto"
        with contextlib.suppress(ConfigError):
            config = find_project(options.config, options.results).config
            results, device = Path(config.results), config.device
        predictions = predict_nearest(options.clips, labels, device, options.threads)
    else:
        # results/benchmarks/B/runs/METHOD/seed-N is in the folder whose project made it.
        above = options.run_folder.absolute().parents
        own = str(above[4]) if len(above) > 4 and Places(above[4]).project.is_file() else None
        project = find_project(options.config, options.results or own)
        results = Path(project.config.results)
        predictions = predict(
            project, options.run_folder, options.clips, labels, project.config.device, options.threads
        )
    if options.json == "-":
        sys.stdout.write(json.dumps(predictions.as_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        Console().print(as_table(predictions))
        if options.json:
            write_json(options.json, predictions.as_json())
    if options.html is not None:
        name = safe_name(" ".join(str(clip) for clip in options.clips))
        path = Path(options.html or results / "predictions" / f"{name}.html")
        write_text(path, as_page(predictions))
        sys.stderr.write(f"{path}\n")
    return 0 if any(clip.status == "ok" for clip in predictions.clips) else 1
