"""Sound and picture must both matter, or the demo would show nothing audio-visual."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avzsl.config.demo import WorldConfig
from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.demo import demo_classes, render_world
from avzsl.embeddings import embed_classes


def ridge(features: np.ndarray, targets: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Predict `targets` of every row by ridge regression on the rows of `train`."""
    mean, spread = features[train].mean(0), features[train].std(0) + 1e-6
    x = (features - mean) / spread
    kernel = x @ x[train].T
    offset = targets[train].mean(0)
    solved = np.linalg.solve(kernel[train] + 0.1 * features.shape[1] * np.eye(train.sum()), targets[train] - offset)
    return kernel @ solved + offset


@pytest.mark.slow
def test_each_modality_alone_falls_clearly_short(tmp_path: Path) -> None:
    from extractors.base import ClipInfo
    from extractors.selavi import Options, load, read

    world = WorldConfig(pictures=4, sounds=4, clips=6)
    render_world(tmp_path, world)
    settings = Options.model_validate({"weights": {"random_seed": 0}})
    networks = load(settings, "cpu", 1, tmp_path)
    classes = demo_classes(world)
    audio, visual, labels = [], [], []
    for number, cls in enumerate(classes):
        windows = [next(iter(read(path, settings, ClipInfo()))) for path in sorted((tmp_path / cls.name).iterdir())]
        heard, shown = networks.embed(windows)()
        audio.append(heard)
        visual.append(shown)
        labels += [number] * len(windows)
    target = np.array(labels)
    names = [c.name for c in classes]
    made = embed_classes(pd.DataFrame({"class_name": names, "phrase": names}), EmbeddingsConfig(table="demo"))
    vectors = made.rows(names)
    unseen = np.array([i for i, c in enumerate(classes) if c.role == "test_unseen"])
    test = np.isin(target, unseen)

    def zsl(features: np.ndarray) -> float:
        predicted = ridge(features, vectors[target], ~test)[test]
        distance = np.linalg.norm(predicted[:, None] - vectors[unseen][None], axis=2)
        return float((unseen[distance.argmin(1)] == target[test]).mean())

    heard, shown = np.concatenate(audio), np.concatenate(visual)
    alone = (zsl(heard), zsl(shown))
    both = zsl(np.hstack([heard, shown]))
    # Four unseen classes: chance is 0.25, and a perfect ear or eye alone would reach 0.5.
    assert both >= 0.75
    assert max(alone) <= both - 0.2
