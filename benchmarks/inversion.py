"""What the inverted pictures of released C3D features cost, on the demo world or on a folder of clips.

    python benchmarks/inversion.py --clips 2
    python benchmarks/inversion.py --clips 2 --folder clips        # one sub-folder a class, as benchmarks/real_clips.py makes
    python benchmarks/inversion.py --clips 6 --folder clips --trained        # the trained network alone, in half a minute

Every clip's first 16 frames go through C3D with seeded random weights three times: as corrected, as released for ActivityNet
(bgr) and as released for UCF101 and VGGSound (inverted). Printed is how often the nearest other clip by cosine, features less
their mean, shows the same picture (motion and object, or class), and how much of a feature's length the inversion changes.
Random weights cannot tell what a network that was trained on pictures the right way round loses. With a folder and the extra
[pretrained] a trained one stands in, EfficientNet-Lite0: how often the likeliest of ImageNet's labels names the class of the
first second, upright and inverted the same way, among clips of classes that have such a label.
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
from avzsl.pretrained.label_sets import labels_of
from avzsl.pretrained.wheels import missing
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


def of_world(folder: Path, classes: int, clips: int) -> list[tuple[Path, str]]:
    """Render so many clips of so many classes; return each with what its picture shows."""
    world = WorldConfig(pictures=6, sounds=6, clips=clips, seed=0)
    made = []
    for one, number in itertools.product(demo_classes(world)[:classes], range(clips)):
        made.append((folder / f"{len(made)}.mp4", f"{one.motion} {one.object}"))
        render_clip(made[-1][0], one, number, world)
    return made


def of_folder(folder: Path, classes: int, clips: int) -> list[tuple[Path, str]]:
    """Return so many clips of so many sub-folders, each with its class."""
    found = sorted(path for path in folder.iterdir() if path.is_dir())[:classes]
    return [(path, one.name) for one in found for path in sorted(one.iterdir())[:clips]]


def trained(clips: list[tuple[Path, str]], threads: int) -> tuple[float, float, int]:
    """Return the shares of clips that EfficientNet-Lite0 names, upright and inverted, and how many have a label to be named by."""
    from avzsl.pretrained.taggers import visual_tagger
    from extractors import pretrained

    naming: dict[str, set[str]] = {}
    for label in labels_of("imagenet1k"):
        for name in (label.name, *label.also, *label.broader):
            naming.setdefault(name.lower(), set()).add(label.name)
    options, tagger = pretrained.Options(), visual_tagger()
    networks = pretrained.load(options, "cpu", threads, Path())
    right: list[tuple[bool, bool]] = []
    for path, name in clips:
        if name not in naming:
            continue
        pixels = next(w.visual for w in pretrained.read(path, options, ClipInfo()) if w.visual is not None)
        features = networks.embed(
            [Window(0, 1, visual=p) for p in (pixels, (256 - pixels.astype(int)).astype(np.uint8))]
        )
        best = features()[1] @ tagger.weight.numpy().T + tagger.bias.numpy()
        first, second = (tagger.names[k] in naming[name] for k in best.argmax(1))
        right.append((first, second))
    upright, inverted = np.mean(right, axis=0)
    return float(upright), float(inverted), len(right)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=2, help="of a class; there are 36")
    parser.add_argument("--classes", type=int, default=36)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="clips of one's own, in the place of the demo world")
    parser.add_argument("--trained", action="store_true", help="of a folder, the trained network alone")
    arguments = parser.parse_args()
    if arguments.trained and (arguments.folder is None or missing()):
        parser.error("--trained needs --folder and the extra [pretrained]: pip install 'avzsl[pretrained]'")
    torch.set_num_threads(arguments.threads)
    if arguments.folder is not None and not missing():
        clips = of_folder(arguments.folder, arguments.classes, arguments.clips)
        upright, inverted, count = trained(clips, arguments.threads)
        print(f"EfficientNet-Lite0 names {upright:.1%} of {count} clips upright, {inverted:.1%} inverted")
    if arguments.trained:
        return
    random = WeightsConfig(random_seed=0)
    made = {
        name: c3d_vggish.Options(
            windows=windows, colours=colours, postprocess="none", picture_weights=random, sound_weights=random
        )
        for name, (windows, colours) in WAYS.items()
    }  # fmt: skip
    features: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as folder:
        given = (Path(folder), of_world) if arguments.folder is None else (arguments.folder, of_folder)
        clips = given[1](given[0], arguments.classes, arguments.clips)
        paths, pictures = [path for path, _ in clips], [name for _, name in clips]
        for name, options in made.items():
            networks = c3d_vggish.load(options, "cpu", arguments.threads, Path(folder))
            with torch.inference_mode():
                features[name] = np.concatenate([networks.embed([first_picture(p, options)])()[1] for p in paths])
    print(f"{len(paths)} clips of {len(set(pictures))} pictures")
    for name, rows in features.items():
        print(f"{name:10} {nearest_right(rows, pictures):.1%} nearest clips show the same picture")
    changed = np.linalg.norm(features["inverted"] - features["bgr"], axis=1) / np.linalg.norm(features["bgr"], axis=1)
    print(f"inverted from bgr: {np.median(changed):.0%} of a feature's length, median")


if __name__ == "__main__":
    main()
