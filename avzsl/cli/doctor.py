"""`avzsl doctor`: one screen before a long run."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from avzsl.acquisition.checkup import Check
    from avzsl.config.features import FeaturesConfig
    from avzsl.config.load import Project

_MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[red]FAIL[/]"}


def add_parser(subparsers: Any) -> None:
    """Add the command to the `avzsl` parser."""
    parser = subparsers.add_parser("doctor", help="check tools, disk, network and sources before a long run")
    parser.add_argument("dataset", nargs="*", help="data sets; default: those of the configured benchmarks")
    parser.add_argument("--config", default=None, help="project configuration; default: config/config.yaml")
    parser.add_argument("--live", action="store_true", help="fetch one clip from every source, remote ones too")
    parser.add_argument(
        "--clips", type=int, default=0, metavar="N", help="with --live: also try N clips as a real run would"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the checks; 1 if one of them failed."""
    from rich.console import Console
    from rich.table import Table

    from avzsl.acquisition.checkup import check_tools
    from avzsl.config.load import load_project

    own = Path("config/config.yaml")
    # Without a project of one's own, a data set that comes with avzsl may be asked for by name.
    project = load_project(arguments.config or (own if own.is_file() else None))
    names = arguments.dataset or sorted({benchmark.dataset for benchmark in project.benchmarks.values()})
    checks = list(check_tools(online=any(_fetches(project, name) for name in names)))
    for name in names:
        checks += _check_dataset(project, name, arguments.live)
    table = Table(show_header=False, box=None, pad_edge=False)
    for check in checks:
        # What a server or a catalogue says is text, not markup.
        table.add_row(_MARKS[check.state], check.subject, check.finding.replace("[", "\\["))
    console = Console(highlight=False)
    console.print(table)
    if arguments.live and arguments.clips > 0:
        for name in names:
            console.print(_try(project, name, arguments.clips), markup=False)
    return int(any(check.state == "fail" for check in checks))


def _try(project: Project, name: str, count: int) -> str:
    """Fetch `count` clips as a run would, at its pace, and say how that went; they stay in DATA/trial to be looked at."""
    from avzsl.acquisition import fetch_shard
    from avzsl.acquisition.shards import read_wanted
    from avzsl.contracts.schemas import CLIPS
    from avzsl.contracts.tables import read_table
    from avzsl.results.places import Places

    places = Places(Path(project.config.results), Path(project.config.data))
    clips = read_table(places.catalog_clips(name), CLIPS)
    wanted = read_wanted(places, name)
    if wanted is not None:
        clips = clips[clips["clip_id"].isin(wanted)]
    sample = clips.sample(n=min(count, len(clips)), random_state=0)
    folder = places.data / "trial" / name
    began = time.monotonic()
    table = fetch_shard(
        sample, name, project.dataset(name), folder / "media" / "0000", folder / "0000.parquet",
        shard=0, state=places.state, cache=places.archives(name),
    )  # fmt: skip
    seconds = time.monotonic() - began
    ended = ", ".join(f"{number} {status}" for status, number in table["status"].value_counts().items())
    rate = seconds / max(1, len(table))
    return (
        f"{name}: {len(table)} clips in {seconds:.0f} s ({ended}); all {len(clips)} would take about "
        f"{rate * len(clips) / 3600:.1f} h at this rate. Look at {folder}."
    )


def _check_dataset(project: Project, name: str, live: bool) -> list[Check]:
    from avzsl.acquisition.checkup import Check, check_clip, check_disk, check_source
    from avzsl.acquisition.estimate import estimate
    from avzsl.acquisition.shards import read_wanted
    from avzsl.config.dataset import source_configs
    from avzsl.config.sources import ArchiveSource, FolderSource
    from avzsl.contracts.schemas import CLIPS
    from avzsl.contracts.tables import read_table
    from avzsl.inspect.attrition import read_media
    from avzsl.results.places import Places

    dataset = project.dataset(name)
    places = Places(Path(project.config.results), Path(project.config.data))
    if imported := _imported(project, name):
        return [_check_imported(name, features, project.features(features)) for features in imported]
    sources = source_configs(name, dataset)
    checks = [check for source in sources for check in check_source(source, places.state, made=places.data)]
    catalog = places.catalog_clips(name)
    if not catalog.is_file():
        return [
            *checks,
            Check(name, "warn", f"no catalogue yet ({catalog}); `snakemake splits` makes it, then ask again"),
        ]
    clips = read_table(catalog, CLIPS)
    wanted, listed = read_wanted(places, name), len(clips)
    if wanted is not None:
        clips = clips[clips["clip_id"].isin(wanted)]
        checks.append(
            Check(name, "ok", f"{len(clips)} of {listed} listed clips are fetched (media.what: {dataset.media.what})")
        )
    left = estimate(name, dataset, clips, read_media(places.results, name))
    checks += [Check(name, "ok", f"left: {left}"), check_disk(places.data, left.bytes)]
    # One clip may be gone for good reasons; three at once are the source's trouble.
    rows = [_plain(row) for _, row in clips.sample(n=min(3, len(clips)), random_state=0).iterrows()]
    for source in sources:
        # Archives would have to be unpacked first.
        if rows and (live or isinstance(source, FolderSource)) and not isinstance(source, ArchiveSource):
            tried: list[Check] = []
            while len(tried) < len(rows) and not any(check.state == "ok" for check in tried):
                tried.append(check_clip(rows[len(tried)], name, dataset, source))
            checks.append(tried[-1])
    return checks


def _imported(project: Project, name: str) -> list[str]:
    """Return the feature sets of a data set if all of them exist already, so that no clip is fetched."""
    used = list(dict.fromkeys(b.features for b in project.benchmarks.values() if b.dataset == name))
    used = used or [project.dataset(name).features]
    return used if all(project.features(features).imported for features in used) else []


def _fetches(project: Project, name: str) -> bool:
    """Return whether yt-dlp is asked for clips of a data set."""
    from avzsl.config.dataset import source_configs
    from avzsl.config.sources import YoutubeSource

    return not _imported(project, name) and any(
        isinstance(source, YoutubeSource) for source in source_configs(name, project.dataset(name))
    )


def _check_imported(dataset: str, name: str, features: FeaturesConfig) -> Check:
    from avzsl.acquisition.checkup import Check
    from avzsl.config.base import expand

    place = expand(str(features.arrays or features.released).replace("{dataset}", dataset))
    if not place.exists():
        return Check(dataset, "fail", f"features {name}: {place} does not exist; nothing else needs a download")
    return Check(dataset, "ok", f"features {name} come from {place}: no video is fetched")


def _plain(row: pd.Series[Any]) -> dict[str, object]:
    import pandas as pd

    return {str(name): None if pd.isna(value) else value for name, value in row.items()}
