"""Two classes that differ only in the order of two sounds: their seconds are the same, and only steps tell them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from avzsl.benchmark import assemble
from avzsl.config.demo import WorldConfig
from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.config.features import FeaturesConfig
from avzsl.config.load import SHIPPED
from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.class_embeddings import write_embeddings
from avzsl.contracts.schemas import MEDIA, SPLIT, SPLIT_CLASSES
from avzsl.contracts.streams import map_streams
from avzsl.contracts.tables import write_table
from avzsl.demo import demo_classes, render_clip
from avzsl.embeddings import embed_classes
from extractors import extract_shard, pack
from extractors.packing import pack_steps

WORLD = WorldConfig(pictures=4, sounds=2, ordered=1, clips=24, width=32, height=32, fps=10)
PAIR = ("rain then bell", "bell then rain")
SHARES = {"train": 12, "val_seen": 4, "test_seen": 8}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[Path, Path], Path, Path]:
    """Render, extract, pack, embed and assemble; return the benchmark's folder, pack, steps and embeddings."""
    folder = tmp_path_factory.mktemp("order")
    settings = yaml.safe_load((SHIPPED / "datasets" / "demo-order.yaml").read_text())
    media, split = [], []
    for kind in demo_classes(WORLD):
        subsets = [name for name, n in SHARES.items() for _ in range(n)] if kind.role == "train" else [kind.role] * 24
        for number, subset in enumerate(subsets):
            clip_id = f"{kind.name}/{number}"
            path = folder / "clips" / f"{clip_id}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            render_clip(path, kind, number, WORLD)
            media.append(
                {"clip_id": clip_id, "shard": 0, "status": "ok", "permanent": False, "attempts": 1, "path": str(path)}
            )
            # Some clips of the classes unseen in validation are the seen ones of the test.
            late = kind.role == "val_unseen" and number >= 18
            split.append((clip_id, kind.name, "test_seen" if late else subset))
    shard, packed = ((folder / f"{name}.safetensors", folder / f"{name}.parquet") for name in ("shard", "packed"))
    features = FeaturesConfig(extractor="tests.demo.random_networks")
    table = extract_shard(
        pd.DataFrame(media).reindex(columns=list(MEDIA.columns)), features, *shard, cache=folder, device="cpu"
    )
    assert table["status"].eq("ok").all()
    pack([shard], *packed)
    steps = folder / "steps.safetensors"
    pack_steps([shard[0]], packed[0], steps)
    roles = pd.DataFrame(
        {"class_name": [k.name for k in demo_classes(WORLD)], "role": [k.role for k in demo_classes(WORLD)]}
    )
    write_table(folder / "split.parquet", pd.DataFrame(split, columns=["clip_id", "class_name", "subset"]), SPLIT)
    write_table(folder / "classes.parquet", roles, SPLIT_CLASSES)
    names = roles["class_name"]
    phrases = [settings["phrases"].get(name, name) for name in names]
    vectors = embed_classes(
        pd.DataFrame({"class_name": names, "phrase": phrases}), EmbeddingsConfig.model_validate(settings["embeddings"])
    )
    write_embeddings(vectors, folder / "vectors.safetensors")
    assemble(folder, packed, [], folder / "vectors.safetensors", folder / "benchmark")
    return folder / "benchmark", packed, steps, folder / "vectors.safetensors"


def test_the_two_have_the_same_seconds_in_another_order(files: Any) -> None:
    """Sorted by their first feature, a clip of either class holds two seconds of rain and two of a bell."""
    streams, header = map_streams(files[2])
    clips = {name: [row for row, clip in enumerate(header["clip_ids"]) if clip.startswith(name)] for name in PAIR}
    halves = {}
    for name, rows in clips.items():
        steps = np.stack([streams["audio"].clip(row)[0] for row in rows])
        assert steps.shape[1] == 4
        halves[name] = steps[:, :2].mean((0, 1)), steps[:, 2:].mean((0, 1))
    first, second = PAIR
    within = np.abs(halves[first][0] - halves[first][1]).mean()
    assert np.abs(halves[first][0] - halves[second][1]).mean() < 0.25 * within
    assert np.abs(halves[first][1] - halves[second][0]).mean() < 0.25 * within


def test_twins_hold_the_same_seconds_so_that_averages_tell_nothing(files: Any) -> None:
    """Clips of one number have the same picture and sounds: their averages are equal but for rounding."""
    averages, header = read_arrays(files[1][0])
    row = {clip: number for number, clip in enumerate(header["clip_ids"])}
    rows = np.array([[row[f"{name}/{number}"] for name in PAIR] for number in range(WORLD.clips)])
    for name in ("audio", "visual"):
        values = averages[name]
        apart = np.abs(values[rows[:, 0]] - values[rows[:, 1]]).mean()
        spread = np.abs(values[rows[:, 0]] - np.roll(values[rows[:, 0]], 1, axis=0)).mean()
        assert apart < 1e-3 * spread, name
