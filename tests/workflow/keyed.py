"""For every key of the configuration: another value, and how many jobs of each rule that makes run again."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel

from avzsl.config.dataset import CatalogConfig, DatasetConfig
from avzsl.config.embeddings import EmbeddingsConfig
from avzsl.config.features import FeaturesConfig, WeightsConfig
from avzsl.config.methods import MethodConfig, Overrides, TrainingConfig
from avzsl.config.project import BenchmarkConfig, ProjectConfig
from avzsl.config.sources import FolderSource, MediaConfig
from avzsl.config.splits import ListsConfig, OverlapConfig, SplitConfig
from avzsl.embeddings.backends import table
from avzsl.pretrained.word_vectors import DEMO_WORDS
from extractors import selavi
from splits.catalogs import folder as folder_catalog
from tests.workflow.conftest import ROOT, write_config
from tests.workflow.small import write_small

Plan = Counter[str]

SHARDS = 2
GONE = object()
NOTHING: Plan = Counter()
PAGE = Counter(report=1)
LAST = Counter(results=1, report=1)
RUN = Counter(run=1) + LAST
JOINED = Counter(benchmark=1) + RUN
EMBEDDED = Counter(embeddings=1) + JOINED
# From the features on: what depends on their values.
PACKED = Counter(pack=1) + JOINED
FEATURES = Counter(extract=SHARDS) + PACKED
MEDIA = Counter(media=SHARDS) + FEATURES
# The plan when it may change which clips are used; shards whose clips stay the same are struck out, too.
SHARDED = Counter(shards_small=1) + MEDIA
SPLIT = Counter(split=1) + SHARDED
# The plan when the catalogue is made anew: shards whose clips stay the same are struck out once it is there.
EVERYTHING = Counter(catalog_small=1, embeddings=1, split=1) + SHARDED
WIDER = EVERYTHING + Counter(media=1, extract=1)

CONFIG, DATASET, FEATURE_SET, METHOD = (
    "config.yaml", "datasets/small.yaml", "features/stub.yaml", "methods/avca.yaml",
)  # fmt: skip


class Section(NamedTuple):
    """A section of a file: where it stands (keys and places in lists, dotted), its model, its keys."""

    file: str
    prefix: str
    model: type[BaseModel]
    keys: Mapping[str, tuple[Any, Plan]]
    elsewhere: frozenset[str] = frozenset()  # keys that have a section or a test of their own


SECTIONS = {
    "project": Section(CONFIG, "", ProjectConfig, {
        "benchmarks": ({"small": {"dataset": "small"}, "again": {"dataset": "small"}}, JOINED),
        "methods": (["avca", "cjme"], RUN),
        "seeds": ([0, 1], RUN),
        "preset": ("as_released", RUN),
        "results": ("elsewhere", EVERYTHING),
        "data": ("elsewhere", MEDIA),
        "cache": ("shared", NOTHING),
        "device": ("auto", NOTHING),
        "tracking": ("none", NOTHING), "gpu_jobs": (2, NOTHING), "decoder": ("auto", NOTHING), "seeds_together": (4, NOTHING), "runs_together": (True, NOTHING),
        "interim": (True, NOTHING), "only_shards": ("0-0", NOTHING),
    }),
    "benchmark": Section(CONFIG, "benchmarks.small", BenchmarkConfig, {
        "dataset": ("twin", Counter({**EVERYTHING, "catalog_small": 0, "catalog_twin": 1, "shards_small": 0, "shards_twin": 1})),
        "split": ("second", SPLIT),
        "features": ("other", FEATURES),
        "preset": ("as_released", RUN),
        "methods": (["cjme"], RUN),
        "seeds": ([1], RUN),
        "overrides": ({"options": {"margin": 2.0}}, RUN),
    }),
    "data set": Section(DATASET, "", DatasetConfig, {
        "title": ("Another", PAGE),
        "licence": ("CC0", PAGE),
        "sources": ([{"kind": "http", "url": "https://example.org/{source_id}"}], MEDIA),
        "shards": (3, WIDER),
        "features": ("other", FEATURES),
        "phrases": ({"bouncing ball bell": "ball bell"}, EVERYTHING),
        "multilabel": ("vggsounder", LAST), "methods": ({"training": {"lr": 0.1}}, RUN),
    }, frozenset({"catalog", "media", "embeddings", "splits"})),
    "catalogue": Section(DATASET, "catalog", CatalogConfig, {"module": ("splits.catalogs.folder", EVERYTHING)}),
    "folder catalogue": Section(DATASET, "catalog", folder_catalog.Options, {
        "root": ("moved", EVERYTHING), "source": ("clip", EVERYTHING), "ignore": (["*.txt"], EVERYTHING),
    }),
    "folder source": Section(DATASET, "sources.0", FolderSource, {
        "name": ("mine", MEDIA), "file": ("./{path}", MEDIA), "trimmed": (True, MEDIA), "root": ("moved", MEDIA),
        "in_place": (False, MEDIA), "search": (True, MEDIA),
    }, frozenset({"kind"})),
    "media": Section(DATASET, "media", MediaConfig, {
        "what": ("all", SHARDED), "order": ("test_first", SHARDED + Counter(media=SHARDS, extract=SHARDS)),
        "keep": ("originals", MEDIA), "max_bytes": (10**8, MEDIA), "max_failed_share": (0.5, MEDIA),
        "tolerance_s": (1.0, MEDIA), "max_lost_share": (0.5, MEDIA), "crf": (20, MEDIA), "time_limit_s": (60.0, MEDIA),
    }),
    "embeddings": Section(DATASET, "embeddings", EmbeddingsConfig, {
        "backend": ("avzsl.embeddings.backends.table", EMBEDDED), "unknown": ("skip", EMBEDDED),
    }),
    "table of words": Section(DATASET, "embeddings", table.Options, {
        "table": ("demo", EMBEDDED), "lowercase": (False, EMBEDDED),
    }),
    "split": Section(DATASET, "splits.default", SplitConfig, {
        "flavour": ("source_disjoint", SPLIT), "classes": ("roles.yaml", SPLIT), "variant": ("cls", SPLIT),
        "force": ({"bouncing ball bell": "train"}, SPLIT), "avoid": ([], SPLIT), "balance": ("category", SPLIT),
        "val_unseen": (0.3, SPLIT), "test_unseen": (0.3, SPLIT), "test_seen": (0.3, SPLIT), "val_seen": (0.3, SPLIT),
        "folds": (2, SPLIT + Counter(split=1, benchmark=1, run=1)), "seed": (1, SPLIT),
        "filters": ([], SPLIT), "lists": ({"path": "other.txt"}, SPLIT), "copies": ("one_side", JOINED),
        "pretraining": ({"own": "ids.txt"}, SPLIT), "gates": ({}, SPLIT),
    }, frozenset({"overlap", "fold"})),
    "overlap": Section(DATASET, "splits.default.overlap", OverlapConfig, {
        "rules": (["exact"], SPLIT), "threshold": (0.9, SPLIT), "vectors": ("words.txt", SPLIT),
        "files": ({"kinetics400": "ids.txt"}, SPLIT),
    }),
    "lists": Section(DATASET, "splits.default.lists", ListsConfig, {
        "path": ("other.txt", SPLIT), "url": ("https://example.org/l.zip", SPLIT), "sha256": ("0" * 64, SPLIT),
        "within": ("inside", SPLIT), "layout": ("cjme", SPLIT),
    }),
    "features": Section(FEATURE_SET, "", FeaturesConfig, {
        "title": ("Another", PAGE),
        "extractor": ("extractors.selavi", FEATURES),
        "audio_step_seconds": (2.0, PAGE), "visual_step_seconds": (2.0, PAGE),
        "dtype": ("float16", FEATURES), "max_lost_share": (0.5, FEATURES), "time_limit_s": (60.0, FEATURES),
    }, frozenset({"released", "within", "arrays"})),
    "extractor": Section(FEATURE_SET, "", selavi.Options, {
        "windows": ("as_released", FEATURES), "antialias": (True, FEATURES), "execution": ("exact", FEATURES),
        "backend": ("openvino", FEATURES), "batch_windows": (4, FEATURES),
    }, frozenset({"weights"})),
    "weights": Section(FEATURE_SET, "weights", WeightsConfig, {
        "path": ("other.txt", FEATURES), "url": ("https://example.org/w", FEATURES),
        "sha256": ("0" * 64, FEATURES),
    }, frozenset({"random_seed"})),
    "method": Section(METHOD, "", MethodConfig, {
        "title": ("Another", PAGE), "source": ("none", PAGE), "module": ("avzsl.methods.avca", RUN),
        "options": ({"margin": 3.0}, RUN),
        "search": ({"margin": [1.0, 2.0]}, NOTHING),  # for search_trials alone
        "variants": ({"mine": {"title": "Mine", "source": "none"}}, NOTHING),
    }, frozenset({"training", "presets", "datasets", "inputs"})),
    "method, this preset": Section(METHOD, "presets.corrected", Overrides, {
        "options": ({"margin": 3.0}, RUN), "training": ({"lr": 0.1}, RUN),
    }),
    "method, another preset": Section(METHOD, "presets.as_released", Overrides, {
        "options": ({"margin": 3.0}, NOTHING), "training": ({"lr": 0.1}, NOTHING),
    }),
    "method, this data set": Section(METHOD, "datasets.small/stub", Overrides, {
        "options": ({"margin": 3.0}, RUN), "training": ({"lr": 0.1}, RUN),
    }),
    "method, another data set": Section(METHOD, "datasets.ucf", Overrides, {
        "options": ({"margin": 3.0}, NOTHING), "training": ({"lr": 0.1}, NOTHING),
    }),
    "training": Section(METHOD, "training", TrainingConfig, {
        "epochs": (3, RUN), "batches_per_epoch": (3, RUN), "clip_passes": (2, RUN), "stop_epochs": (2, RUN),
        "batch_size": (8, RUN), "lr": (0.1, RUN), "weight_decay": (0.1, RUN), "patience": (1, RUN),
        "lr_factor": (0.5, RUN), "stage2_schedule": ("plateau", RUN), "beta": ("mean", RUN),
        "class_rows": ("as_released", RUN), "calibration": ("exact", RUN), "sequence_length": ("fixed", RUN),
        "train_steps": (9, RUN), "test_steps": (9, RUN), "crop": ("centre", RUN),
        "crop_alignment": ("as_released", RUN), "precision": ("float64", RUN), "compile": (True, RUN),
        "search_trials": (2, RUN), "checkpoint_seconds": (9.0, PAGE),
    }),
}  # fmt: skip


def change(values: Any, key: str, value: Any) -> None:
    """Set a dotted key of nested mappings and lists, or take it out."""
    *parents, last = key.split(".")
    for name in parents:
        values = values[int(name)] if isinstance(values, list) else values.setdefault(name, {})
    if value is GONE:
        del values[last]
    else:
        values[last] = value


def write_keyed(folder: Path) -> None:
    """Write the project that the sections speak of, with every file that one of their values names."""
    write_small(folder, shards=SHARDS, benchmarks={"small": {"dataset": "small"}})
    shutil.copytree(folder / "videos", folder / "moved")
    (folder / "released").mkdir()
    shutil.copyfile(DEMO_WORDS, folder / "words.txt")
    for name in ("weights.pt", "lists.txt", "other.txt", "ids.txt"):
        (folder / name).write_bytes(b"one\n")
    (folder / "roles.yaml").write_text("roles: {train: [bouncing ball bell]}\n", encoding="utf-8")
    dataset = yaml.safe_load((folder / "config" / DATASET).read_text(encoding="utf-8"))
    dataset["sources"] = [{"kind": "folder", "root": "videos"}]
    dataset["embeddings"]["table"] = "words.txt"
    dataset["splits"]["default"]["lists"] = {"path": "lists.txt"}
    dataset["splits"]["second"] = {**dataset["splits"]["default"], "seed": 7}
    training = dataset.pop("methods")["training"]
    for name in ("small", "twin"):
        write_config(folder, f"datasets/{name}.yaml", dataset)
    for name in ("stub", "other"):
        write_config(folder, f"features/{name}.yaml", {"weights": {"path": "weights.pt"}})
    method = yaml.safe_load((ROOT / "config" / METHOD).read_text(encoding="utf-8"))
    write_config(folder, METHOD, {**method, "variants": {}, "training": training})
