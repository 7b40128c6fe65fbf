# Configuration and paths. This file is read again in every job: nothing heavy is imported here, and nothing is changed.

import hashlib
import os
import sys
from pathlib import Path

from avzsl.config.dataset import source_configs
from avzsl.config import shipped
from avzsl.config.base import expand
from avzsl.config.features import EXTRACTING, IMPORTING
from avzsl.config.load import load_project
from avzsl.config.read import from_command_line
from avzsl.contracts.errors import AvzslError
from avzsl.results.memory import listed_clips, megabytes
from avzsl.results.places import LOGS, Places, feature_costs, run_costs, shard_name
from avzsl.results.project import (
    dataset_part,
    media_part,
    outline_of,
    record_of,
    run_settings,
    secrets_of,
    write_project,
)
from avzsl.runtime.devices import cores_for_a_gpu, wants_gpu
from avzsl.runtime.runs import begin, end, plan
from avzsl.runtime.step import give_up_without_daemon
from avzsl.runtime.weights import NAME as WEIGHTS_NAME
from avzsl.training import ahead

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
    given |= {
        key: from_command_line(given[key]) for key in workflow.config_settings.config
    }
    files = workflow.config_settings.configfiles
    if not (files or given or Path("config/config.yaml").is_file()):
        sys.exit(
            "avzsl: there is no config/config.yaml in this folder; write one, name one with --configfile, "
            "or say what to build: --config benchmarks=demo"
        )
    # With a --configfile of the user's, data sets and methods are looked for beside it first.
    source = files[-1] if files else "config/config.yaml"
    try:
        project = load_project(source, given)
        # Jobs read the project again, but what it needs is looked for once.
        if workflow.is_main_process:
            check_project(project)
    except AvzslError as error:
        sys.exit(f"avzsl: {error}")
    return project


project = checked_project()

PLACES = Places(Path(project.config.results), Path(project.config.data))
# Beside the project's configuration, so that it can be committed with it.
WEIGHTS_LOCK = str(project.source.parent / WEIGHTS_NAME)
BENCHMARKS = list(project.benchmarks)
GROUPS = sorted({b.group for b in project.benchmarks.values() if b.group})
DATASETS = sorted({benchmark.dataset for benchmark in project.benchmarks.values()})

try:
    plan(workflow, PLACES.lock)
except AvzslError as error:
    sys.exit(f"avzsl: {error}")

# On SLURM a job is a Snakemake that waits for another, which runs the script; the script looks after itself.
if not workflow.is_main_process:
    give_up_without_daemon()


def how(value):
    """A param for how a job works, not for what comes out: a change of it runs nothing again.

    Snakemake compares no param whose function asks for `threads`.
    """
    return lambda wildcards, threads: value(wildcards) if callable(value) else value


def gpus(wildcards):
    """GPUs of a job that runs networks: one where the configuration or this machine has any."""
    return int(wants_gpu(project.config.device))


def feeders(wildcards):
    """Cores of a job of extraction: on a GPU all that can decode for it."""
    if not gpus(wildcards):
        return 4
    given = workflow.global_resources
    cores, cards = (
        given[name].value if name in given else None for name in ("_cores", "gpu")
    )
    return cores_for_a_gpu(cores, cards)


def memory(megabytes):
    """Memory of a job, in MB: as much again with every attempt (retries are the profile's)."""
    return lambda wildcards, attempt: megabytes * attempt


def memory_of(stage, *datasets):
    """Memory of a job that reads tables of all clips, in MB, by their number as the catalogues have it by then.

    The clips of all `datasets` together; by default those of the data set or benchmark of the wildcards.
    """

    def needed(wildcards, attempt):
        names = datasets or [
            dict(wildcards.items()).get("dataset")
            or project.benchmarks[wildcards.benchmark].dataset
        ]
        clips = sum(listed_clips(PLACES.catalog_notes(name)) for name in names)
        return attempt * megabytes(stage, clips)

    return needed


def datasets_of(benchmarks):
    """Return the data set of each benchmark: what is read of all of them counts for each."""
    return [project.benchmarks[name].dataset for name in benchmarks]


def minutes(limit):
    """Time limit of a job: as much again with every attempt."""
    return lambda wildcards, attempt: limit * attempt


def rule_name(name):
    """Snakemake's rule names are identifiers."""
    return name.replace("-", "_")


def shards_of(dataset):
    config = project.dataset(dataset)
    return [shard_name(shard) for shard in range(config.shards * config.media.parts)]


def shards_here(dataset):
    """Return the shards that this run is limited to (`only_shards`), all of them by default."""
    limit = project.config.only_shards
    if limit is None:
        return shards_of(dataset)
    first, last = (int(number) for number in limit.split("-"))
    return shards_of(dataset)[first : last + 1]


def here():
    """Return what a run that is limited to some shards leaves: their features, to be gathered elsewhere."""
    return unique(
        PLACES.shard_manifest(benchmark.dataset, benchmark.features, shard)
        for benchmark in project.benchmarks.values()
        if not project.features(benchmark.features).imported
        for shard in shards_here(benchmark.dataset)
    )


def finished_shards(dataset, features):
    """Return the shards whose features are packed: all of them; for an interim result, those that are there."""
    if not project.config.interim:
        return shards_of(dataset)
    there = [
        shard
        for shard in shards_of(dataset)
        if PLACES.shard_manifest(dataset, features, shard).is_file()
        and PLACES.shard_arrays(dataset, features, shard).is_file()
    ]
    if not there:
        sys.exit(
            f"avzsl: interim: no shard of {dataset} has its features {features} yet; wait for the first, or leave it out"
        )
    return there


def interim(wildcards):
    """Return how many shards of how many a benchmark is made of, None where it is all of them."""
    benchmark = project.benchmarks[wildcards.benchmark]
    dataset, features = benchmark.dataset, benchmark.features
    if project.features(features).imported:
        return None
    done, total = len(finished_shards(dataset, features)), len(shards_of(dataset))
    return None if done == total else [done, total]


def splits_of_media(dataset):
    """Return the splits that decide which clips are fetched: those of benchmarks that need media."""
    media = project.dataset(dataset).media
    if media.what == "all" and media.order == "listed":
        return []
    own = [b for b in project.benchmarks.values() if b.dataset == dataset]
    extracted = [b for b in own if not project.features(b.features).imported]
    return sorted({benchmark.split for benchmark in extracted or own})


def shard_priority(wildcards):
    """With `media.order: test_first` the shards of test clips come first."""
    dataset = project.dataset(wildcards.dataset)
    return int(dataset.media.parts > 1 and int(wildcards.shard) < dataset.shards)


def world_index(dataset):
    return f"{project.options_of_catalog(dataset).root}/index.json"


def media_settings(wildcards):
    """Where a data set's media come from and how they are fetched and kept."""
    dataset = project.dataset(wildcards.dataset)
    sources = tuple(source_configs(wildcards.dataset, dataset))
    return media_part(dataset.model_copy(update={"sources": sources}))


def extraction(wildcards):
    """How the features of a data set's media are extracted, and by which revision of the extractor."""
    features = project.features(wildcards.features)
    settings = features.model_dump(mode="json", exclude={"title", *IMPORTING})
    return settings | project.options_of_extractor(wildcards.features).revised


def importing(wildcards):
    """How features that exist already are imported."""
    features = project.features(wildcards.features)
    return features.model_dump(mode="json", exclude={"title", *EXTRACTING})


def lean(wildcards):
    """What brings media back that were deleted once their features were stored; None where they are kept."""
    if project.dataset(wildcards.dataset).media.keep != "features":
        return None
    return media_settings(wildcards)


def trained_split(dataset, features):
    """Return the split whose training clips a network of a feature set is trained on, None where none is trained."""
    return project.trained_split(dataset, features)


def trained_network(wildcards):
    """Return the weights that are trained before extraction; nothing for other feature sets."""
    dataset, features = wildcards.dataset, wildcards.features
    if trained_split(dataset, features) is None:
        return []
    return PLACES.audio_network(dataset, features)


def network_record(benchmark):
    """Return how the training of a benchmark's features went, for the page; nothing for other feature sets."""
    if trained_split(benchmark.dataset, benchmark.features) is None:
        return []
    return [PLACES.audio_network_record(benchmark.dataset, benchmark.features)]


def pack_parts(wildcards):
    """Return what a pack is made of: the shards, or the one of imported features."""
    dataset, features = wildcards.dataset, wildcards.features
    if project.features(features).imported:
        return {
            "arrays": [PLACES.imported_arrays(dataset, features)],
            "manifests": [PLACES.imported_manifest(dataset, features)],
        }
    shards = finished_shards(dataset, features)
    return {
        "arrays": [PLACES.shard_arrays(dataset, features, shard) for shard in shards],
        "manifests": [
            PLACES.shard_manifest(dataset, features, shard) for shard in shards
        ],
    }


def media_of(benchmark):
    """Return the media manifests that say why a clip is lost; imported features come without media."""
    if project.features(benchmark.features).imported:
        return []
    return [
        PLACES.manifest(benchmark.dataset, shard)
        for shard in finished_shards(benchmark.dataset, benchmark.features)
    ]


def benchmark_parts(wildcards):
    benchmark = project.benchmarks[wildcards.benchmark]
    dataset = benchmark.dataset
    return {
        "media": media_of(benchmark),
        "split": PLACES.split_clips(dataset, benchmark.split),
        "split_classes": PLACES.split_classes(dataset, benchmark.split),
        "arrays": PLACES.pack(dataset, benchmark.features),
        "manifest": PLACES.pack_manifest(dataset, benchmark.features),
        "embeddings": PLACES.embeddings(dataset),
    }


def run_parts(wildcards):
    """Return what a run reads: the benchmark's parts and, for a method of sequences, the steps of the features."""
    benchmark = project.benchmarks[wildcards.benchmark]
    parts = benchmark_parts(wildcards)
    if project.method(wildcards.method, benchmark).config.inputs == "sequences":
        parts["steps"] = PLACES.steps(benchmark.dataset, benchmark.features)
    return parts


def settings_of_run(wildcards):
    return run_settings(
        project, project.benchmarks[wildcards.benchmark], wildcards.method
    )


def plan_runs():
    """Note the runs that this call makes on this machine, for jobs that make others besides their own."""
    if not project.config.runs_together:
        return ahead.plan([])
    jobs = [
        job
        for job in workflow.dag.needrun_jobs()
        if job.rule.name == "run" and workflow.is_local(job.rule)
    ]
    asked = [
        ahead.Asked(
            job.wildcards.benchmark,
            job.wildcards.method,
            int(job.wildcards.seed),
            settings_of_run(job.wildcards),
            checkpoint_seconds(job.wildcards),
            job.input.get("steps"),
            str(Path(job.output.run).parent),
        )
        for job in jobs
    ]
    folders = [run.folder for name in BENCHMARKS for run in runs_of(name)]
    order = {folder: place for place, folder in enumerate(folders)}
    forced = [run for run, job in zip(asked, jobs) if workflow.dag.reason(job).forced]
    return ahead.plan(
        sorted(asked, key=lambda run: order.get(run.places.folder, len(order))), forced
    )


def checkpoint_seconds(wildcards):
    benchmark = project.benchmarks[wildcards.benchmark]
    return project.method(wildcards.method, benchmark).training.checkpoint_seconds


def runs_of(name):
    benchmark = project.benchmarks[name]
    return [
        PLACES.run(name, method, seed)
        for method in benchmark.methods
        for seed in benchmark.seeds
    ]


def split_of(name):
    benchmark = project.benchmarks[name]
    return project.dataset(benchmark.dataset).splits[benchmark.split]


def parts_of(name):
    """Return the class splits of a benchmark that has several; any other is its own part."""
    parts = [part.name for part in project.benchmarks.values() if part.group == name]
    return parts or [name]


def results_parts(name):
    """Return every file that the results table of a benchmark is made from."""
    runs = runs_of(name)
    return [
        *(run.record for run in runs),
        *(run.predictions for run in runs),
        PLACES.benchmark_record(name),
        PLACES.benchmark_clips(name),
        PLACES.benchmark_classes(name),
        PLACES.catalog_clips(project.benchmarks[name].dataset),
    ]


def report_parts(name):
    """Return every file that the page's part on a benchmark is made from; the clips' own files are only shown."""
    benchmark = project.benchmarks[name]
    dataset = benchmark.dataset
    return [
        *results_parts(name),
        *(file for run in runs_of(name) for file in (run.history, run.scores)),
        PLACES.pack(dataset, benchmark.features),
        PLACES.embeddings(dataset),
        PLACES.catalog_classes(dataset),
        PLACES.split_classes(dataset, benchmark.split),
        PLACES.audit(dataset, benchmark.split),
        *media_of(benchmark),
        *network_record(benchmark),
    ]


def report_costs(name):
    """Return the files that say what the stages of a benchmark cost; a log that is gone is not made again."""
    benchmark = project.benchmarks[name]
    dataset = benchmark.dataset
    return [
        *feature_costs(dataset, benchmark.features, len(shards_of(dataset))),
        *run_costs(name, benchmark.methods, benchmark.seeds),
    ]


def tables_parts(name):
    """Return every file that the papers' tables of a benchmark are made from."""
    return [
        *(run.record for run in runs_of(name)),
        PLACES.benchmark_record(name),
        PLACES.benchmark_clips(name),
        PLACES.benchmark_classes(name),
    ]


def unique(files):
    """Return every file once, in order: benchmarks share data sets."""
    return list(dict.fromkeys(files))


def names_below(root):
    """Hash of the file names below a folder; what files hold is sealed (avzsl.runtime.seals)."""
    names = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            names.update(os.fsencode(f"{os.path.relpath(folder, root)}/{name}\0"))
    return names.hexdigest()


def listing(dataset):
    """Names below a folder catalogue's root: a clip added or removed makes the catalogue again."""
    if project.dataset(dataset).catalog.module != "folder":
        return ""
    return names_below(expand(project.options_of_catalog(dataset).root))


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
