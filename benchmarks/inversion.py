"""What the inverted pictures of released C3D features cost, with random weights on the demo world.

    python benchmarks/inversion.py --clips 2

Every clip's first 16 frames go through C3D with seeded random weights three times: as corrected, as released for ActivityNet
(bgr) and as released for UCF101 and VGGSound (inverted). Printed is how often the nearest other clip by cosine, features less
their mean, shows the same picture (motion and object), and how much of a feature's length the inversion changes. Random
weights cannot tell what a network that was trained on pictures the right way round loses.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from pathlib import Path

import numpy as np
import torch

from avzsl.config.demo import WorldConfig
from avzsl.config.features import WeightsConfig
from avzsl.demo.classes import demo_classes
from avzsl.demo.world import render_clip
from extractors import c3d_vggish
from extractors.base import ClipInfo, Window

WAYS = {"corrected": ("corrected", "bgr"), "bgr": ("as_released", "bgr"), "inverted": ("as_released", "inverted")}


def first_picture(path: Path, options: c3d_vggish.Options) -> Window:
    """Return a clip's first window of picture."""
    return next(w for w in c3d_vggish.read(path, options, ClipInfo()) if w.visual is not None)


def nearest_right(features: np.ndarray, pictures: list[str]) -> float:
    """Return the share of rows whose nearest other row by cosine has the same picture."""
    centred = features - features.mean(0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    near = unit @ unit.T
    np.fill_diagonal(near, -np.inf)
    return float(np.mean([pictures[k] == pictures[j] for k, j in enumerate(near.argmax(1))]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2, help="of a class; there are 36")
    parser.add_argument("--classes", type=int, default=36)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    world = WorldConfig(pictures=6, sounds=6, clips=arguments.clips, seed=0)
    classes = demo_classes(world)[: arguments.classes]
    random = WeightsConfig(random_seed=0)
    made = {
        name: c3d_vggish.Options(
            windows=windows, colours=colours, postprocess="none", picture_weights=random, sound_weights=random
        )
        for name, (windows, colours) in WAYS.items()
    }  # fmt: skip
    features: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        listed = list(itertools.product(classes, range(arguments.clips)))
        paths = [Path(folder) / f"{number}.mp4" for number in range(len(listed))]
        for path, (one, number) in zip(paths, listed, strict=True):
            render_clip(path, one, number, world)
        for name, options in made.items():
            networks = c3d_vggish.load(options, "cpu", arguments.threads, Path(folder))
            with torch.inference_mode():
                features[name] = np.concatenate([networks.embed([first_picture(p, options)])()[1] for p in paths])
    pictures = [f"{one.motion} {one.object}" for one, _ in listed]
    print(f"{len(paths)} clips of {len(set(pictures))} pictures")
    for name, rows in features.items():
        print(f"{name:10} {nearest_right(rows, pictures):.1%} nearest clips show the same picture")
    changed = np.linalg.norm(features["inverted"] - features["bgr"], axis=1) / np.linalg.norm(features["bgr"], axis=1)
    print(f"inverted from bgr: {np.median(changed):.0%} of a feature's length, median")


if __name__ == "__main__":
    main()
