"""A folder of videos -> config/datasets/NAME.yaml, and what a first run of it will be like."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import pandas as pd
import yaml

from avzsl.config.dataset import DatasetConfig
from avzsl.contracts.errors import AvzslError
from avzsl.media.errors import MediaError
from avzsl.media.failures import FAILURES
from avzsl.media.opening import open_container
from avzsl.pretrained.label_sets import LABEL_SETS
from avzsl.pretrained.wheels import INSTALL, missing
from avzsl.pretrained.words import is_foreign
from splits.catalogs import build_catalog
from splits.overlap import words
from splits.tagged import tagged_classes

COMMAND = "snakemake --cores all --config benchmarks={name} methods='[nearest-phrase, ridge, avca, cjme]'"
# How every start of one's own ends: each role with clips, and a training for few of them.
SHARES_AND_TRAINING = """\
    val_unseen: 0.25
    test_unseen: 0.25
    val_seen: 0.2
    test_seen: 0.25
    # force: {{CLASS NAME: test_unseen}}
methods:
  training:                         # its length follows the data; without these lines the papers' 50 epochs of 500 batches
    clip_passes: 10
    stop_epochs: 8
    batch_size: {batch}
"""
TEMPLATE = (
    """\
# Videos below {root}: one folder a class (docs/own-videos.md). To run it:
# {command}
title: {title}
catalog:
  module: folder
  root: {quoted}
  # ignore: ["*.txt", "*.jpg"]      # files that are no clips
  # source: "/([^/]+)_clip[0-9]+"   # which recording a clip was cut from, if several were cut from one
shards: {shards}
features: pretrained                # YAMNet and EfficientNet-Lite0; selavi: the official SeLaVi weights, CC-BY-NC 4.0
embeddings:
  backend: sentences                # MiniLM; or {{backend: table, table: glove-6b-50d}}
phrases:{phrases}
splits:
  default:
    # Classes that the networks' own labels name may be tested on too, and the page says which. For a stricter test:
    # avoid: [audioset, imagenet1k]
    avoid: []
"""
    + SHARES_AND_TRAINING
)
# Fewer classes leave a role without one.
LEAST_CLASSES = 4
# Seconds that one core needs for a second of small video (docs/speed.md), and a guess at those of a training step.
WINDOW_S, STEP_S = 0.08, 0.03
EPOCHS, RUNS = 25, 6
# CPU seconds that the workflow's 24 jobs take besides, most of them to import torch: 24 clips of two seconds took 139 in all.
STARTING_S = 100
PROBED = 50  # files whose length is looked at
CLIPS_A_SHARD = 256


@dataclass
class Found:
    """What is in a folder of videos: classes with their clips, names to look at, seconds of video."""

    classes: pd.DataFrame
    doubtful: dict[str, str] = field(default_factory=dict)  # class -> why its name may not read well
    tagged: dict[str, list[str]] = field(default_factory=dict)  # label set -> classes that its labels name
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def clips(self) -> int:
        return int(self.classes["clips"].sum())

    def minutes(self, cores: int) -> tuple[float, float]:
        """Return the expected minutes of extraction and of training (two trained methods, three seeds) on a CPU."""
        return self.seconds * WINDOW_S / cores / 60, training_minutes(self.clips, cores)


def training_minutes(clips: int, cores: int) -> float:
    """Return the expected minutes of two trained methods with three seeds on a CPU, at the length that `avzsl new` writes."""
    batches = max(1, -(-10 * clips * 6 // 10 // batch_size(clips)))
    return EPOCHS * 2 * min(batches, 500) * STEP_S * RUNS / cores / 60


def batch_size(clips: int) -> int:
    """Return the clips in a batch: a quarter of the data set, from 16 to the papers' 256, a power of two."""
    size = 16
    while size < 256 and size * 4 < clips:
        size *= 2
    return size


def look(name: str, root: Path) -> Found:
    """Return what is in the folder `root`; raises AvzslError if it holds too few classes with clips to be a benchmark."""
    config = DatasetConfig.model_validate(
        {"catalog": {"module": "folder", "root": str(root)}, "embeddings": {"backend": "sentences"}}
    )
    catalog = build_catalog(name, config, Path())
    classes = catalog.classes
    filled = int((classes["clips"] > 0).sum())
    if filled < LEAST_CLASSES:
        raise AvzslError(
            f"{root}: holds {filled} classes with clips; a benchmark needs {LEAST_CLASSES}, one folder a class. "
            f'To name clips without one: avzsl predict CLIP --labels "...", which needs no classes'
        )
    tagged = tagged_classes(classes)
    named = {
        label_set: sorted(set(tagged.loc[tagged["label_set"] == label_set, "class_name"])) for label_set in LABEL_SETS
    }
    files = [root / path for path in catalog.clips["path"]]
    return Found(classes, doubtful_names(classes), named, _seconds(files), list(catalog.notes))


def doubtful_names(classes: pd.DataFrame) -> dict[str, str]:
    """Return the classes whose phrase a person should look at, with the reason."""
    doubtful: dict[str, str] = {}
    owners: dict[frozenset[str], str] = {}
    for name, phrase in zip(classes["class_name"], classes["phrase"], strict=True):
        if is_foreign(phrase):
            doubtful[name] = "is not in English, which MiniLM reads"
        elif not re.search(r"[^\W\d_]{3}", phrase):
            doubtful[name] = "holds no word"
        elif re.search(r"\d", phrase):
            doubtful[name] = "holds a number"
        same = owners.setdefault(words(phrase) or frozenset([phrase]), name)
        if same != name:
            doubtful[name] = f"has the words of {same!r}"
    return doubtful


def render(name: str, root: Path, found: Found) -> str:
    """Return the YAML of the data set, commented."""

    def quoted(text: str) -> str:
        return yaml.safe_dump(text, allow_unicode=True, width=10_000).split("\n")[0]

    phrase = dict(zip(found.classes["class_name"], found.classes["phrase"], strict=True))
    # What is read now stands there, so that the file is whole before anybody looks.
    lines = [f"\n  {quoted(n)}: {quoted(phrase[n])}   # {why}" for n, why in found.doubtful.items()]
    told = "# class name -> what to read in its place"
    phrases = (
        f" {{}}                         {told}" if not lines else f"                            {told}{''.join(lines)}"
    )
    return TEMPLATE.format(
        command=COMMAND.format(name=name), root=ascii(str(root))[1:-1], title=quoted(name), quoted=quoted(str(root)), batch=batch_size(found.clips),
        shards=max(1, -(-found.clips // CLIPS_A_SHARD)), phrases=phrases,
    )  # fmt: skip


def report(found: Found, cores: int) -> list[str]:
    """Return what to tell the user: classes, names to look at, what will be used, how long it will take."""
    classes = found.classes
    counts = classes["clips"]
    each = f"{counts.min()} to {counts.max()}" if counts.min() < counts.max() else f"{counts.min()}"
    lines = [
        f"{found.clips} clips of {len(classes)} classes, {each} clips each",
        *found.notes,
    ]
    few = classes.loc[counts < 3, "class_name"].tolist()
    if few:
        lines.append(f"with fewer than 3 clips, so hardly to be trained and tested: {_some(few)}")
    if found.doubtful:
        lines.append("names that may not read well; give them words under `phrases:`")
        lines += [f"  {name!r}: {why}" for name, why in list(found.doubtful.items())[:10]]
    lines.append("features pretrained (YAMNet, EfficientNet-Lite0), class names by MiniLM")
    for label_set, named in found.tagged.items():
        if named:
            lines.append(
                f"  labels of {LABEL_SETS[label_set]}, which these networks know, name {len(named)} of the classes: {_some(named)}"
            )
    lacking = missing()
    if lacking:
        lines.append(f"before the first run, install {', '.join(lacking)}: {INSTALL}")
    extraction, training = found.minutes(cores)
    starting = STARTING_S / cores / 60
    lines.append(
        f"about {math.ceil(extraction + training + starting)} minutes on {cores} cores: {extraction:.1f} for the features of "
        f"{found.seconds / 60:.0f} minutes of video, {training:.1f} to train AVCA and CJME with three seeds, {starting:.1f} to start jobs"
    )
    return lines


def _some(names: Sequence[str], shown: int = 6) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(name if name.isprintable() else ascii(name) for name in names[:shown]) + more


def _seconds(files: Sequence[Path]) -> float:
    """Return the length of all files in seconds, as the containers of some of them state it."""
    lengths = []
    for path in files[:: max(1, len(files) // PROBED)]:
        with contextlib.suppress(MediaError, *FAILURES), open_container(path) as opened:
            lengths.append((opened.duration or 0) / av.time_base)
    return len(files) * sum(lengths) / len(lengths) if lengths else 0.0
