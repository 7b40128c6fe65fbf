"""Shards that other machines made, brought together: checked as a whole first, then copied."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avzsl.config.load import Project
from avzsl.contracts.atomic import replacing
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.contracts.mapped import map_arrays, verify_arrays
from avzsl.contracts.schemas import CLIPS, FEATURES, MEDIA
from avzsl.contracts.tables import read_table
from avzsl.results.places import Places, shard_name
from avzsl.results.project import dataset_part, read_project

# What may differ between machines: where media come from, and what becomes of them.
_HOW = frozenset({"what", "keep", "max_failed_share"})


@dataclass(frozen=True)
class Shard:
    """A finished shard of another results folder."""

    folder: Path
    dataset: str
    features: str
    number: str

    def files(self, places: Places) -> list[Path]:
        """Return its files below a results folder, in the order in which they were made; the journal may lack."""
        manifest = places.manifest(self.dataset, self.number)
        return [
            manifest.with_suffix(".journal.jsonl"),
            manifest,
            places.shard_arrays(self.dataset, self.features, self.number),
            places.shard_manifest(self.dataset, self.features, self.number),
        ]


@dataclass
class Gathered:
    """What `gather` did. `missing`: shards that are nowhere yet, by data set and feature set."""

    copied: list[Shard] = field(default_factory=list)
    here: list[Shard] = field(default_factory=list)  # equal ones that were there before
    unfinished: dict[Path, int] = field(default_factory=dict)  # shards of a folder that have media and no features
    missing: dict[tuple[str, str], list[str]] = field(default_factory=dict)


def gather(project: Project, folders: Sequence[Path]) -> Gathered:
    """Copy the finished shards of other machines' results `folders` into the project's own.

    Nothing is copied unless everything fits: settings, the clips of each shard, tables and arrays with their checksums,
    one extractor with one set of weights, and every shard once. Media files stay where they are.
    Raises DataError, one sentence that names the file, for whatever does not fit.
    """
    own = Places(Path(project.config.results))
    done = Gathered()
    found: dict[tuple[str, str, str], Shard] = {}
    makers: dict[str, tuple[Path, Any]] = {}
    for dataset, features in _extracted(project):
        for path in sorted((own.features(dataset, features) / "shards").glob("*.safetensors")):
            makers.setdefault(features, (path, map_arrays(path)[1].get("extractor")))
    for folder in folders:
        _check_settings(project, folder)
        theirs = Places(folder)
        done.unfinished[folder] = 0
        for dataset, features in _extracted(project):
            for shard in _shards(project, theirs, folder, dataset, features):
                if not all(path.is_file() for path in shard.files(theirs)[1:]):
                    done.unfinished[folder] += 1
                    continue
                _check(shard, theirs, own, makers)
                key = (dataset, features, shard.number)
                if key in found:
                    raise DataError(
                        shard.files(theirs)[2], f"shard {shard.number} is in {found[key].folder} too; leave one of the folders out"
                    )
                found[key] = shard
                (done.here if _is_here(shard, theirs, own) else done.copied).append(shard)
    for shard in done.copied:
        _copy(shard, own)
    for dataset, features in _extracted(project):
        config = project.dataset(dataset)
        numbers = [shard_name(number) for number in range(config.shards * config.media.parts)]
        done.missing[dataset, features] = [n for n in numbers if not own.shard_manifest(dataset, features, n).is_file()]
    return done


def _extracted(project: Project) -> list[tuple[str, str]]:
    """Return data set and feature set of every benchmark whose features are extracted."""
    pairs = {(b.dataset, b.features) for b in project.benchmarks.values() if not project.features(b.features).imported}
    return sorted(pairs)


def _shards(project: Project, places: Places, folder: Path, dataset: str, features: str) -> Iterator[Shard]:
    """Yield the shards of a folder that were begun."""
    config = project.dataset(dataset)
    for number in range(config.shards * config.media.parts):
        shard = Shard(folder, dataset, features, shard_name(number))
        if any(path.is_file() for path in shard.files(places)):
            yield shard


def _check_settings(project: Project, folder: Path) -> None:
    other = read_project(folder)
    if other is None:
        raise DataError(folder, "is no results folder of avzsl: it has no project.json; name the folder that `results` names there")
    for dataset, features in _extracted(project):
        if dataset not in {b.dataset for b in other.benchmarks.values()}:
            continue
        known = {b.features for b in other.benchmarks.values() if b.dataset == dataset}
        sides = [_settings(side, dataset, features) for side in (project, other) if side is project or features in known]
        for key in sides[0] if len(sides) == 2 else ():
            mine, theirs = sides[0][key], sides[1].get(key)
            if mine != theirs:
                raise DataError(
                    Places(folder).project,
                    f"was made with other settings: {key} is {theirs!r} there and {mine!r} here; make its shards again, or leave the folder out",
                )


def _settings(project: Project, dataset: str, features: str) -> dict[str, Any]:
    """Return what decides the content of a shard, by the words of the configuration."""
    config = project.dataset(dataset)
    part = dataset_part(config, "catalog", "shards", "media")
    media = {key: value for key, value in part.pop("media").items() if key not in _HOW}
    own = project.features(features).model_dump(mode="json", exclude={"title"})
    return {
        **{f"datasets/{dataset}.yaml: {key}": value for key, value in part.items()},
        **{f"datasets/{dataset}.yaml: media.{key}": value for key, value in media.items()},
        **{f"features/{features}.yaml: {key}": value for key, value in own.items()},
    }


def _check(shard: Shard, theirs: Places, own: Places, makers: dict[str, tuple[Path, Any]]) -> None:
    """Raise DataError unless a shard is whole, of this project's clips, and by the one extractor."""
    _, manifest, arrays, table = shard.files(theirs)
    listed = own.clips(shard.dataset, shard.number)
    if not listed.is_file():
        raise DataError(listed, f"the shards of this project are not there yet; run snakemake {own.used(shard.dataset)} first")
    wanted = read_table(listed, CLIPS)
    if not wanted.equals(read_table(theirs.clips(shard.dataset, shard.number), CLIPS)):
        raise DataError(
            theirs.clips(shard.dataset, shard.number),
            "lists other clips than this project's shard: the catalogues, or the benchmarks that say which clips are used, differ",
        )
    for path, schema in ((manifest, MEDIA), (table, FEATURES)):
        if sorted(read_table(path, schema)["clip_id"]) != sorted(wanted["clip_id"]):
            raise DataError(path, "does not hold the clips of its shard; make it again there")
    verify_arrays(arrays)
    extractor = map_arrays(arrays)[1].get("extractor")
    first, known = makers.setdefault(shard.features, (arrays, extractor))
    if extractor != known:
        raise DataError(arrays, f"was extracted with {extractor}, {first} with {known}; extract one of them again")


def _is_here(shard: Shard, theirs: Places, own: Places) -> bool:
    """Whether the same shard was gathered before; raises DataError if another one is in its place."""
    here, there = shard.files(own), shard.files(theirs)
    if not here[3].is_file():
        return False
    if any(not a.is_file() or sha256_file(a) != sha256_file(b) for a, b in zip(here[2:], there[2:], strict=True)):
        raise DataError(there[2], f"is another shard than {here[2]}; every shard must be made once: delete one of them")
    return True


def _copy(shard: Shard, own: Places) -> None:
    """Copy the files in the order in which they were made, each with the time of its copy: Snakemake compares times."""
    for source, target in zip(shard.files(Places(shard.folder)), shard.files(own), strict=True):
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as temporary:
                shutil.copyfile(source, temporary)
            os.utime(target)
