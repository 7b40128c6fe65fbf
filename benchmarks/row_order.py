"""What the released loaders' row order of class embeddings costs, where the truth is known.

Synthetic features with the class lists, class counts and published word vectors of UCF-GZSL: the mean of a class is a
linear map of its own word vector, plus noise. AVCA is trained with every class's own vector and with the released
rows, under both presets; the rows are the only difference within a preset. The files are those of the AVCA repository
(`avca_data/class-split`-style lists, `ucf_w2v_class_names.csv` and the normed `.npy` of word vectors).

    python benchmarks/row_order.py SPLITS/ucf VECTORS/word_embeddings_ucf_normed.npy --epochs 6 --batches 100
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from avzsl.benchmark import assemble
from avzsl.benchmark.released_rows import released_rows
from avzsl.benchmark.synthetic import SyntheticFiles, write
from avzsl.config.load import SHIPPED, Benchmark, Method
from avzsl.config.methods import MethodConfig, Overrides
from avzsl.embeddings.published import read_published
from avzsl.training import run

FILES = {
    "train": "stage_1_train",
    "val_seen": "stage_1_val_seen",
    "val_unseen": "stage_1_val_unseen",
    "test_seen": "stage_2_test_seen",
    "test_unseen": "stage_2_test_unseen",
}


def published(folder: Path, table: Path) -> tuple[dict[str, dict[str, int]], dict[str, np.ndarray], dict[str, str]]:
    """Return clips per class of each subset, word vectors and phrases by class name.

    The split spells one class of UCF101 otherwise than the class list does; case is ignored, as in the released code.
    """
    names = [
        line.strip() for line in (folder / "all_class.txt").read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    spelling = {name.lower(): name for name in names}
    display = pd.read_csv(folder / "ucf_w2v_class_names.csv")
    phrases = {spelling[o.lower()]: m for o, m in zip(display["original"], display["manual"], strict=True)}
    by_phrase = read_published(table)
    counts = {}
    for subset, file in FILES.items():
        labels = pd.read_csv(folder / "main_split" / f"{file}.csv")["label"].str.lower().map(spelling)
        counts[subset] = {str(name): int(n) for name, n in labels.value_counts().sort_index().items()}
    return counts, {name: np.asarray(by_phrase[phrases[name]], np.float64) for name in names}, phrases


def compare(
    folder: Path,
    table: Path,
    seeds: int,
    noise: float,
    training: dict[str, int],
    presets: tuple[str, ...] = ("corrected", "as_released"),
) -> pd.DataFrame:
    """Return one row a preset, row order and seed: S, U, HM, ZSL on the test clips."""
    config = MethodConfig.model_validate(yaml.safe_load((SHIPPED / "methods" / "avca.yaml").read_text()))
    counts, vectors, phrases = published(folder, table)
    rows = released_rows(phrases, list(vectors))
    unseen = counts["test_unseen"]
    print(
        f"{sum(n != o for n, o in rows.items())} of {len(rows)} classes, {sum(rows[n] != n for n in unseen)} of {len(unseen)} unseen test classes get another class's vector"
    )
    results = []
    with tempfile.TemporaryDirectory() as name:
        files: SyntheticFiles = write(Path(name) / "in", counts, vectors, phrases, dims=(512, 512), noise=noise)
        assemble(files.split, files.pack, [], files.embeddings, Path(name) / "b")
        for preset in presets:
            options = {**config.options, **config.presets.get(preset, Overrides()).options}  # type: ignore[call-overload]
            benchmark = Benchmark("ucf", "ucf", "d", "f", preset, ("avca",), (0,), Overrides())  # type: ignore[arg-type]
            for order in ("aligned", "as_released"):
                settings = config.training.model_copy(update={**training, "class_rows": order})
                for seed in range(seeds):
                    out = Path(name) / "out"
                    started = time.process_time()
                    run(
                        Path(name) / "b",
                        files.pack[0],
                        files.embeddings,
                        Method("avca", config, options, settings),
                        benchmark,
                        seed,
                        out,
                        "cpu",
                        1,
                    )
                    row = json.loads((out / "run.json").read_text())
                    results.append(
                        {
                            "preset": preset,
                            "rows": order,
                            **{k: row[k] for k in ("seed", "seen", "unseen", "hm", "zsl", "epoch", "beta")},
                        }
                    )
                    print(
                        {k: round(v, 1) if isinstance(v, float) else v for k, v in results[-1].items()},
                        f"{time.process_time() - started:.0f} CPU s",
                        flush=True,
                    )
    return pd.DataFrame(results)


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--noise", type=float, default=2.0)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--batch-size", type=int, default=256)
    o = parser.parse_args()
    table = compare(
        o.folder,
        o.vectors,
        o.seeds,
        o.noise,
        {"epochs": o.epochs, "batches_per_epoch": o.batches, "batch_size": o.batch_size},
    )
    print(
        table.groupby(["preset", "rows"], sort=False)[["seen", "unseen", "hm", "zsl"]]
        .agg(["mean", "std"])
        .round(1)
        .to_string()
    )


if __name__ == "__main__":
    main()
