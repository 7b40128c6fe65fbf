"""A folder of features and a CSV -> config/datasets/NAME.yaml and config/features/NAME.yaml."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import yaml

from avzsl.pretrained.wheels import INSTALL, missing
from avzsl.starters.videos import SHARES_AND_TRAINING, batch_size, training_minutes

SENTENCES = "sentences"
COMMAND = "snakemake --cores all --config benchmarks={name} methods='[ridge, avca, cjme]'"
DATASET = (
    """\
# Clips of {folder}/clips.csv with features that exist already (docs/own-features.md). To run it:
# {command}
title: {name}
catalog:
  module: table
  clips: {clips}
features: {name}
embeddings:
  {embeddings}
phrases: {{}}                         # class name -> what to read in its place
splits:
  default:
    # No unseen class may be one that the features' networks were trained to name: say here which label sets they know,
    # of kinetics400, audioset, imagenet1k, sports1m.
    avoid: []
"""
    + SHARES_AND_TRAINING
)
FEATURES = """\
# Features of one's own: nothing is extracted.
title: {name}
arrays: {folder}
audio_step_seconds: 1.0             # where steps come without times: how long one is
visual_step_seconds: 1.0
"""


def render(name: str, folder: Path, clips: int, embeddings: str) -> dict[str, str]:
    """Return the files of the configuration by their path below config/.

    `folder` holds clips.csv and the arrays of `clips` clips; `embeddings` is a table of word vectors, or `sentences`.
    """

    def quoted(path: Path) -> str:
        return yaml.safe_dump(str(path), allow_unicode=True, width=10_000).split("\n")[0]

    read = "backend: sentences                # MiniLM; or, in its place, table: glove-6b-50d"
    return {
        f"datasets/{name}.yaml": DATASET.format(
            name=name, folder=ascii(str(folder))[1:-1], command=COMMAND.format(name=name), clips=quoted(folder / "clips.csv"),
            embeddings=read if embeddings == SENTENCES else f"table: {quoted(Path(embeddings))}", batch=batch_size(clips),
        ),
        f"features/{name}.yaml": FEATURES.format(name=name, folder=quoted(folder)),
    }  # fmt: skip


def report(table: pd.DataFrame, classes: int, embeddings: str, cores: int) -> list[str]:
    """Return what to tell the user: `table` (FEATURES) says what became of each clip."""
    counts = table["status"].value_counts()
    steps = table[table["status"] == "ok"]
    lines = [
        f"{len(table)} clips of {classes} classes: {', '.join(f'{n} {status}' for status, n in counts.items())}",
        f"steps a clip: {steps['audio_steps'].min()} to {steps['audio_steps'].max()} of sound, "
        f"{steps['visual_steps'].min()} to {steps['visual_steps'].max()} of picture",
    ]
    lost = table[table["status"] != "ok"]
    lines += [f"  {row.clip_id!r}: {row.status}: {row.reason}" for row in lost.head(5).itertuples()]
    if embeddings == SENTENCES:
        lines.append("class names by MiniLM")
        if lacking := missing():
            lines.append(f"before the first run, install {', '.join(lacking)}: {INSTALL}")
    minutes = training_minutes(len(steps), cores)
    lines.append(f"about {math.ceil(minutes)} minutes on {cores} cores to train AVCA and CJME with three seeds")
    return lines
