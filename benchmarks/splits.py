"""How long the split stage takes: `python benchmarks/splits.py [--metadata FOLDER] [--clips 200000 2000000]`.

Without --metadata it writes files of the real formats and sizes first (made-up ids); with it, it takes
vggsound.csv, stat.csv, activity_net.v1-3.min.json, UCF101TrainTestSplits-RecognitionTask.zip and the AudioSet
*_segments.csv from that folder. Nothing is downloaded: label sets that are not there are left out.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# This file is called splits too: the packages come first.
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# ruff: noqa: E402
import numpy as np
import pandas as pd
import yaml

from avzsl.config.dataset import DatasetConfig
from avzsl.config.splits import SplitConfig
from splits import audit_split, build_split
from splits.catalogs import build_catalog
from splits.catalogs.audioset import LABELS
from splits.facts import load_facts

SIZES = {"ucf": 13_320, "activitynet": 23_064, "vggsound": 199_176, "unbalanced_train": 2_041_789, "eval": 20_371}


def main() -> None:
    """Run every data set in a process of its own, so that each peak of memory is its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metadata", type=Path, help="folder of real metadata files")
    parser.add_argument(
        "--clips", type=int, nargs="*", default=[20_000, 200_000, 2_000_000], help="sizes of the growth"
    )
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        run_dataset(options.one, options.metadata)
        return
    if options.make:
        write_metadata(options.make)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = options.metadata or Path(made)
        if options.metadata is None:
            subprocess.run([sys.executable, __file__, "--make", made], check=True)
        started, before = time.perf_counter(), _children()
        for name in ("ucf", "activitynet", "vggsound", "audioset-zsl"):
            command = [sys.executable, __file__, "--one", name, "--metadata", str(folder)]
            subprocess.run(command, check=True)
        seconds = time.perf_counter() - started
        print(f"all four, with starting python: {seconds:.1f} s, {_children() - before:.1f} s of one core")
    for number in options.clips:
        growth(number)


def _children() -> float:
    """Return the processor seconds of the processes that have ended: what a busy machine does not inflate."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_dataset(name: str, folder: Path) -> None:
    """Build one catalogue, every flavour that needs no download, and their audits."""
    values = yaml.safe_load((ROOT / f"config/datasets/{name}.yaml").read_text(encoding="utf-8"))
    archive = folder / "UCF101TrainTestSplits-RecognitionTask.zip"
    values["catalog"] |= {
        "ucf": {"lists": str(archive if archive.exists() else folder / "ucf.txt")},
        "activitynet": {"annotations": str(folder / "activity_net.v1-3.min.json")},
        "vggsound": {"clips": str(folder / "vggsound.csv"), "categories": str(folder / "stat.csv")},
        "audioset-zsl": {"metadata": str(folder)},
    }[name]
    values["phrases"] = {}  # made-up files do not hold all classes
    dataset = DatasetConfig.model_validate(values)
    started = time.perf_counter()
    catalog = build_catalog(name, dataset, folder)
    print(f"{name}: catalogue of {len(catalog.clips):,} clips in {time.perf_counter() - started:.1f} s", end="")
    ids = folder / f"{name}-ids.txt"
    ids.write_text("\n".join(catalog.clips["clip_id"]), encoding="utf-8")
    for split, config in dataset.splits.items():
        if config.flavour == "imported":
            continue
        changes = config.model_dump() | {"avoid": ["kinetics400"], "gates": {}}
        if config.lists is not None:
            changes["lists"] = {"path": str(ids)}
        local = SplitConfig.model_validate(changes)
        started = time.perf_counter()
        made = build_split(catalog.clips, catalog.classes, local)
        built = time.perf_counter()
        audit_split(made, catalog.clips, catalog.classes, local)
        print(f"; {split} {built - started:.1f} s, audit {time.perf_counter() - built:.1f} s", end="")
    print(f"; peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB", flush=True)


def growth(number: int) -> None:
    """Build a random and a source-disjoint split of `number` clips in 300 classes, three clips a source."""
    rng = np.random.default_rng(0)
    owner = rng.integers(0, 300, number // 3 + 1).repeat(3)[:number]
    clips = pd.DataFrame(
        {"clip_id": [f"clip {k:08d}" for k in range(number)], "class_name": [f"c{k:03d}" for k in owner]}
    )
    clips["source_id"] = [f"source {k // 3}" for k in range(number)]
    clips["start_s"], clips["end_s"], clips["official_subset"] = 0.0, 10.0, None
    names = sorted(clips["class_name"].unique())
    classes = pd.DataFrame({"class_name": names, "phrase": names, "category": None, "clips": 1})
    listed = {"test_unseen": names[::5], "val_unseen": names[1::5]}
    listed["train"] = sorted(set(names) - set(listed["test_unseen"]) - set(listed["val_unseen"]))
    said = []
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"roles": listed}, file)
        file.flush()
        for flavour in ("random", "source_disjoint"):
            config = SplitConfig.model_validate({"flavour": flavour, "classes": file.name})
            started = time.perf_counter()
            build_split(clips, classes, config)
            said.append(f"{flavour} {time.perf_counter() - started:.1f} s")
    print(f"{number:,} clips: {', '.join(said)}", flush=True)


def write_metadata(folder: Path) -> None:
    """Write files of the real formats and sizes, with the classes that the benchmarks name and made-up ids."""
    rng = np.random.default_rng(0)

    def classes(name: str, total: int, filler: str) -> list[str]:
        facts = load_facts(name)
        names = [n for members in facts.roles.values() for n in members]
        return names + [filler.format(chr(97 + k // 26), chr(97 + k % 26)) for k in range(total - len(names))]

    def ids(letter: str, number: int) -> list[str]:
        return [f"{letter}{k:010d}" for k in range(number)]

    names = classes("ucf", 101, "Zz{}{}")
    rows = [f"{n}/v_{n}_g{1 + k % 25:02d}_c{k // 25:02d}.avi" for n in names for k in range(SIZES["ucf"] // 101 + 1)]
    (folder / "ucf.txt").write_text("\n".join(rows), encoding="utf-8")

    names = classes("activitynet", 200, "Zz{}{}")
    labels = rng.integers(0, 200, SIZES["activitynet"])
    database = {
        video: {
            "subset": "training",
            "annotations": [{"segment": [20.0 * k, 20.0 * k + 15], "label": names[label]} for k in (0, 1)],
        }
        for video, label in zip(ids("a", SIZES["activitynet"] // 2), labels, strict=False)
    }
    content = json.dumps({"version": "VERSION 1.3", "database": database})
    (folder / "activity_net.v1-3.min.json").write_text(content, encoding="utf-8")

    names = classes("vggsound", 309, "zz {}{}")
    labels = rng.integers(0, 309, SIZES["vggsound"])
    lines = [
        f'{video},30,"{names[label]}",{"test" if k % 13 == 0 else "train"}'
        for k, (video, label) in enumerate(zip(ids("v", SIZES["vggsound"]), labels, strict=True))
    ]
    (folder / "vggsound.csv").write_text("\n".join(lines), encoding="utf-8")
    (folder / "stat.csv").write_text("\n".join(f'"{name}",1,people' for name in names), encoding="utf-8")

    mids = [*LABELS.values(), *(f"/m/x{k:05d}" for k in range(494))]
    for subset in ("unbalanced_train", "eval"):
        picks = rng.integers(0, len(mids), (SIZES[subset], 2))
        lines = [
            f'{video}, 30.000, 40.000, "{mids[a]},{mids[b]}"'
            for video, (a, b) in zip(ids(subset[0], SIZES[subset]), picks, strict=True)
        ]
        (folder / f"{subset}_segments.csv").write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
