"""What the released loaders' row order of class embeddings costs, where the truth is known.

Synthetic features with the class lists, clips and released word vectors of UCF-GZSL: the mean of a class is a linear
map of its own word vector, plus noise. They are written as the authors of AVCA published theirs, and the ordinary
workflow does the rest: catalogue, imported split, class embeddings, AVCA with every class's own vector and with the
released rows under both presets, tables and page. The rows are the only difference within a preset. The files are
those of the AVCA repository (UCF's `class-split` lists and the normed `.npy` of word vectors).

    python benchmarks/row_order.py SPLITS/ucf VECTORS/word_embeddings_ucf_normed.npy --report FOLDER
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from avzsl.benchmark.synthetic import clip_features  # noqa: E402
from avzsl.config.load import SHIPPED, load_project  # noqa: E402
from avzsl.contracts.arrays import write_arrays  # noqa: E402
from avzsl.contracts.class_embeddings import read_embeddings  # noqa: E402
from avzsl.contracts.schemas import FEATURES, SPLIT, SUBSETS  # noqa: E402
from avzsl.contracts.tables import read_table, write_table  # noqa: E402
from avzsl.evaluation import SHORT  # noqa: E402
from avzsl.report.row_order import row_order_costs  # noqa: E402
from avzsl.report.summary import collect  # noqa: E402
from extractors.released_features import export_features  # noqa: E402

PRESETS = ("corrected", "as_released")
NAME = "ucf-synthetic"


def configure(
    folder: Path, splits: Path, vectors: Path, seeds: int, training: dict[str, int], presets: tuple[str, ...]
) -> None:
    """Write the configuration of the project, and the lists of clips and classes that its catalogue is made from."""
    ucf = yaml.safe_load((SHIPPED / "datasets" / "ucf.yaml").read_text(encoding="utf-8"))
    imported = {"flavour": "imported", "avoid": [], "lists": {"path": str(splits)}, "gates": {"lists": 0}}
    dataset = {
        "title": "UCF-GZSL's classes and clips with synthetic features: a linear map of the class's word vector, and noise",
        "catalog": {"module": "ucf101", "lists": str(folder / "lists")},
        "features": "synthetic",
        "embeddings": {"backend": "released", "table": str(vectors)},
        "phrases": ucf["phrases"],
        "splits": {"imported": imported},
        "methods": {"training": training},
    }
    config = {
        "benchmarks": {
            f"synthetic-{preset.replace('_', '-')}": {"dataset": NAME, "preset": preset} for preset in presets
        },
        "methods": ["avca-aligned-rows", "avca-released-rows"],
        "seeds": list(range(seeds)),
        "device": "cpu",
        "tracking": "none",
    }
    features = {"title": "synthetic", "extractor": "synthetic", "released": str(folder / "released")}
    names = [
        line.strip() for line in (splits / "all_class.txt").read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    clips = pd.concat([pd.read_csv(path) for path in sorted((splits / "main_split").glob("*.csv"))])["filename"]
    for name, text in {
        "config/config.yaml": yaml.safe_dump(config, sort_keys=False),
        f"config/datasets/{NAME}.yaml": yaml.safe_dump(dataset, sort_keys=False),
        "config/features/synthetic.yaml": yaml.safe_dump(features, sort_keys=False),
        "lists/classInd.txt": "".join(f"{number} {name}\n" for number, name in enumerate(names, 1)),
        "lists/trainlist01.txt": "".join(f"{clip}.avi\n" for clip in clips.drop_duplicates()),
        "lists/testlist01.txt": "",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    # The configuration is refused while a folder it names is not there; the features follow once the split is made.
    (folder / "released").mkdir(exist_ok=True)


def make_features(folder: Path, noise: float, draw: int) -> None:
    """Write features of every clip of the split, from its class's own vector, in the released layout."""
    results = folder / "results" / NAME
    embeddings = read_embeddings(results / "embeddings.safetensors")
    vectors = dict(zip(embeddings.class_names, embeddings.vectors.astype(np.float64), strict=True))
    clips = read_table(results / "splits" / "imported" / "split.parquet", SPLIT)
    clips = clips[clips["subset"].isin(SUBSETS)].sort_values(["subset", "class_name", "clip_id"], ignore_index=True)
    pack = folder / "made" / "pack.safetensors", folder / "made" / "pack.parquet"
    write_arrays(
        pack[0],
        clip_features(clips["class_name"], vectors, dims=(512, 512), noise=noise, seed=draw),
        {"clip_ids": clips["clip_id"].tolist()},
    )
    manifest = clips[["clip_id"]].assign(shard=0, status="ok", row=np.arange(len(clips)), audio_steps=1, visual_steps=1)
    write_table(pack[1], manifest, FEATURES)
    export_features(*pack, clips, folder / "released")


def snakemake(folder: Path, *targets: str) -> None:
    """Run the workflow of this checkout in `folder`; raises CalledProcessError if a job fails."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "snakemake", *targets, "-s", str(ROOT / "Snakefile"), "--cores", "all", "--quiet"]
    subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": paths}, check=True)


def compare(
    folder: Path,
    splits: Path,
    vectors: Path,
    seeds: int,
    noise: float,
    training: dict[str, int],
    presets: tuple[str, ...] = PRESETS,
    draw: int = 0,
) -> pd.DataFrame:
    """Run the project in `folder` and return a row a preset: means, difference and interval of S, U, HM and ZSL.

    A single seed gives no interval: its ends are NaN.
    The page is `folder`/results/report/index.html.
    """
    folder = folder.resolve()
    configure(folder, splits.resolve(), vectors.resolve(), seeds, training, presets)
    snakemake(folder, f"results/{NAME}/splits/imported/split.parquet", f"results/{NAME}/embeddings.safetensors")
    make_features(folder, noise, draw)
    snakemake(folder)
    project, results = load_project(folder / "config" / "config.yaml"), folder / "results"
    rows = []
    for cost in row_order_costs(project, collect(project, results), results):
        print(
            f"{cost.preset}: {cost.wrong} of {cost.classes} classes, {cost.wrong_unseen} of {cost.unseen} unseen test classes get another class's vector"
        )
        for value in cost.costs:
            c = value.comparison
            ends = (c.interval.low, c.interval.high) if c.interval else (np.nan, np.nan)
            rows.append((cost.preset, SHORT[c.metric], value.aligned, value.released, c.difference, *ends))
    return pd.DataFrame(rows, columns=["preset", "metric", "own", "released", "difference", "low", "high"])


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("splits", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--report", type=Path, metavar="FOLDER", help="keep the project here, with its page")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--noise", type=float, default=2.0)
    parser.add_argument("--draw", type=int, default=0, help="seed of the linear map and the noise")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--batch-size", type=int, default=128)
    o = parser.parse_args()
    training = {"epochs": o.epochs, "batches_per_epoch": o.batches, "batch_size": o.batch_size}
    with tempfile.TemporaryDirectory() as temporary:
        folder = o.report or Path(temporary)
        table = compare(folder, o.splits, o.vectors, o.seeds, o.noise, training, draw=o.draw)
        runs = pd.read_csv(folder / "results" / "runs.csv")
    print(runs.groupby(["preset", "method"], sort=False)[list(SHORT)].agg(["mean", "std"]).round(1).to_string())
    print(table.round(1).to_string(index=False))
    if o.report:
        print(f"The page: {folder / 'results' / 'report' / 'index.html'}")


if __name__ == "__main__":
    main()
