# Configuration and paths. This file is read again in every job: nothing heavy is imported here.

import hashlib
import os
import sys
from pathlib import Path

from avzsl.config import shipped
from avzsl.config.base import expand
from avzsl.config.load import load_project
from avzsl.contracts.atomic import sweep
from avzsl.runtime.devices import wants_gpu
from avzsl.contracts.errors import AvzslError
from avzsl.runtime.jobs import hold_lock
from avzsl.runtime.leftovers import settle
from avzsl.runtime.step import give_up_without_daemon

# Another distribution's `splits` would fail in the middle of an import; this says so in a sentence.
try:
    shipped.check_neighbours()
except AvzslError as error:
    sys.exit(f"avzsl: {error}")

from avzsl.cli.check import check_project


def checked_project():
    """Check the whole configuration before the DAG starts; a mistake is one readable line."""
    given = dict(config)
    # Snakemake merges mappings key by key; who names benchmarks on the command line or in
    # a --configfile wants these alone, not the demo besides.
    overriding = workflow.config_settings.overwrite_config
    if "benchmarks" in overriding:
        given["benchmarks"] = overriding["benchmarks"]
    files = workflow.config_settings.configfiles
    if not (files or given or Path("config/config.yaml").is_file()):
        sys.exit(
            "avzsl: there is no config/config.yaml in this folder; write one, name one with --configfile, "
            "or say what to build: --config benchmarks=demo"
        )
    # With a --configfile of the user's, data sets and methods are looked for beside it first.
    source = files[-1] if files else "config/config.yaml"
    given.pop("configfile", None)
    # Scripts read the same project again from what Snakemake hands them (avzsl.config.load.job_project).
    config.clear()
    config.update(given, configfile=str(source))
    try:
        project = load_project(source, given)
        # Jobs read the project again, but what it needs is looked for once.
        if workflow.is_main_process:
            check_project(project)
    except AvzslError as error:
        sys.exit(f"avzsl: {error}")
    return project


project = checked_project()

RESULTS = project.config.results
DATA = project.config.data
LOGS = "logs"
BENCHMARKS = list(project.benchmarks)
GROUPS = sorted({b.group for b in project.benchmarks.values() if b.group})
DATASETS = sorted({benchmark.dataset for benchmark in project.benchmarks.values()})


def only_asks():
    """Whether this call makes nothing. Snakemake knows its executor (workflow.dryrun) only after reading this file."""
    questions = {"--summary", "-S", "--detailed-summary", "-D", "--report", "--dag"}
    questions |= {"--rulegraph", "--filegraph", "--d3dag", "--lint", "--list-rules"}
    given = {argument.split("=")[0] for argument in sys.argv[1:]}
    return workflow.output_settings.dryrun or bool(questions & given)


# One run at a time writes to a results folder; asking is allowed at any time. Unlike Snakemake's own lock the kernel
# drops this one when the process dies in whatever way, so that no lock ever waits for a human (profiles: nolock).
if workflow.is_main_process and not only_asks():
    try:
        run_lock = hold_lock(
            Path(RESULTS) / ".lock", "another run is writing to this results folder"
        )
        settle()
        sweep(RESULTS)
    except AvzslError as error:
        sys.exit(f"avzsl: {error}")

# On SLURM a job is a Snakemake that waits for another, which runs the script; the script looks after itself.
if not workflow.is_main_process:
    give_up_without_daemon()


def gpus(wildcards):
    """GPUs of a job that runs networks: one where the configuration or this machine has any."""
    return int(wants_gpu(project.config.device))


def memory(megabytes):
    """Memory of a job, in MB: as much again with every attempt (retries are the profile's)."""
    return lambda wildcards, attempt: megabytes * attempt


def minutes(limit):
    """Time limit of a job: as much again with every attempt."""
    return lambda wildcards, attempt: limit * attempt


def rule_name(name):
    """Snakemake's rule names are identifiers."""
    return name.replace("-", "_")


def shards_of(dataset):
    return [f"{shard:04d}" for shard in range(project.dataset(dataset).shards)]


def world_index(dataset):
    return f"{project.options_of_catalog(dataset).root}/index.json"


def pack_parts(wildcards):
    """Return what a pack is made of: the shards, or the one of imported features."""
    folder = f"{RESULTS}/{wildcards.dataset}/features/{wildcards.features}"
    if project.features(wildcards.features).imported:
        return {
            "arrays": [f"{folder}/imported.safetensors"],
            "manifests": [f"{folder}/imported.parquet"],
        }
    shards = [f"{folder}/shards/{shard}" for shard in shards_of(wildcards.dataset)]
    return {
        "arrays": [f"{shard}.safetensors" for shard in shards],
        "manifests": [f"{shard}.parquet" for shard in shards],
    }


def media_of(benchmark):
    """Return the media manifests that say why a clip is lost; imported features come without media."""
    if project.features(benchmark.features).imported:
        return []
    return [
        f"{RESULTS}/{benchmark.dataset}/media/{shard}.parquet"
        for shard in shards_of(benchmark.dataset)
    ]


def benchmark_parts(wildcards):
    benchmark = project.benchmarks[wildcards.benchmark]
    folder = f"{RESULTS}/{benchmark.dataset}"
    pack = f"{folder}/features/{benchmark.features}/packed"
    return {
        "media": media_of(benchmark),
        "split": f"{folder}/splits/{benchmark.split}/split.parquet",
        "split_classes": f"{folder}/splits/{benchmark.split}/classes.parquet",
        "arrays": f"{pack}.safetensors",
        "manifest": f"{pack}.parquet",
        "embeddings": f"{folder}/embeddings.safetensors",
    }


def run_parts(wildcards):
    """Return what a run reads: the benchmark's parts and, for a method of sequences, the steps of the features."""
    benchmark = project.benchmarks[wildcards.benchmark]
    parts = benchmark_parts(wildcards)
    if project.method(wildcards.method, benchmark).config.inputs == "sequences":
        folder = f"{RESULTS}/{benchmark.dataset}/features/{benchmark.features}"
        parts["steps"] = f"{folder}/steps.safetensors"
    return parts


def method_settings(wildcards):
    """Return what a run depends on, so that a changed option runs that method again and no other."""
    benchmark = project.benchmarks[wildcards.benchmark]
    method = project.method(wildcards.method, benchmark)
    return {
        "preset": benchmark.preset,
        "module": method.config.module,
        "options": method.options,
        "training": method.training.model_dump(mode="json"),
    }


def runs_of(name):
    benchmark = project.benchmarks[name]
    return [
        f"{RESULTS}/benchmarks/{name}/runs/{method}/seed-{seed}/run.json"
        for method in benchmark.methods
        for seed in benchmark.seeds
    ]


def parts_of(name):
    """Return the class splits of a benchmark that has several; any other is its own part."""
    parts = [part.name for part in project.benchmarks.values() if part.group == name]
    return parts or [name]


def settings_of(names):
    """Return the part of the configuration that tables and page show."""
    return {name: str(project.benchmarks[name]) for name in names}


def listing(dataset):
    """Hash of the file names below a folder catalogue's root: a clip added or removed makes the catalogue again."""
    catalog = project.dataset(dataset).catalog
    if catalog.module != "folder":
        return ""
    names = hashlib.sha256()
    root = expand(project.options_of_catalog(dataset).root)
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            names.update(os.fsencode(f"{folder}/{name}\0"))
    return names.hexdigest()


def imported_files(dataset, features):
    """Hash of names, sizes and times of the files that a feature set imports: changed ones are imported again."""
    config = project.features(features)
    text = (config.arrays or config.released).replace("{dataset}", dataset)
    root = os.path.expandvars(os.path.expanduser(text))
    seen = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            state = os.lstat(f"{folder}/{name}")
            seen.update(
                os.fsencode(f"{folder}/{name}\0{state.st_size} {state.st_mtime_ns}\0")
            )
    return seen.hexdigest()


def after_catalog(wildcards):
    """Look at a shard again when the catalogue is there: a job whose clips are the same is then struck out.

    Without it every shard counts as changed as soon as the catalogue is made anew. Adds no file to the input.
    """
    getattr(checkpoints, f"catalogued_{rule_name(wildcards.dataset)}").get()
    return []


wildcard_constraints:
    dataset="[A-Za-z0-9][A-Za-z0-9_-]*",
    features="[A-Za-z0-9][A-Za-z0-9_-]*",
    split="[A-Za-z0-9][A-Za-z0-9_-]*",
    benchmark="[A-Za-z0-9][A-Za-z0-9_-]*",
    method="[A-Za-z0-9][A-Za-z0-9_-]*",
    shard="[0-9]{4,5}",
    seed="[0-9]+",
