"""Show that the demo needs both sound and picture, and what a linear map makes of it.

    python benchmarks/demo_modalities.py [--results results] [--dataset demo]

Ridge regression from the averaged features to the class embeddings, fitted on the clips of train, val_seen and
val_unseen; the score is the mean per-class accuracy among the test-unseen classes (ZSL). Run after `snakemake --cores all`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from avzsl.contracts.arrays import read_arrays
from avzsl.contracts.schemas import FEATURES, SPLIT
from avzsl.contracts.tables import read_table
from avzsl.embeddings import ClassEmbeddings, read_embeddings

SEEN = ("train", "val_seen", "val_unseen")


def zsl(features: np.ndarray, clips: pd.DataFrame, embeddings: ClassEmbeddings, alpha: float) -> float:
    """Return the ZSL of ridge regression, 0..1; `features` (clips, dim) in the rows of `clips` (class_name, subset)."""
    train, test = clips["subset"].isin(SEEN).to_numpy(), (clips["subset"] == "test_unseen").to_numpy()
    model = make_pipeline(StandardScaler(), Ridge(alpha))
    model.fit(features[train], embeddings.rows(clips["class_name"][train]))
    names = sorted(clips["class_name"][test].unique())
    distances = np.linalg.norm(model.predict(features[test])[:, None] - embeddings.rows(names)[None], axis=2)
    right = np.array(names)[distances.argmin(axis=1)] == clips["class_name"][test].to_numpy()
    return float(pd.Series(right).groupby(clips["class_name"][test].to_numpy()).mean().mean())


def scores(results: Path, dataset: str, features: str, alpha: float) -> dict[str, float]:
    """Return the ZSL of sound, picture and both, and the chance level."""
    packed = results / dataset / "features" / features / "packed"
    arrays, _ = read_arrays(packed.with_suffix(".safetensors"))
    manifest = read_table(packed.with_suffix(".parquet"), FEATURES)
    split = read_table(results / dataset / "splits" / "default" / "split.parquet", SPLIT)
    clips = manifest[manifest["row"] >= 0].merge(split[["clip_id", "class_name", "subset"]], on="clip_id")
    embeddings = read_embeddings(results / dataset / "embeddings.safetensors")
    audio, visual = (arrays[kind][clips["row"]] for kind in ("audio", "visual"))
    unseen = clips.loc[clips["subset"] == "test_unseen", "class_name"].nunique()
    return {
        "audio": zsl(audio, clips, embeddings, alpha),
        "visual": zsl(visual, clips, embeddings, alpha),
        "both": zsl(np.hstack([audio, visual]), clips, embeddings, alpha),
        "chance": 1 / unseen,
    }


def main() -> None:
    """Print the scores of a finished demo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--features", default="selavi-random")
    parser.add_argument("--alpha", type=float, default=100.0, help="strength of the ridge")
    arguments = parser.parse_args()
    for name, value in scores(arguments.results, arguments.dataset, arguments.features, arguments.alpha).items():
        print(f"{name:8} ZSL {100 * value:5.1f} %")


if __name__ == "__main__":
    main()
