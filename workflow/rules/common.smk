# Configuration and paths. This file is read again in every job: nothing heavy is imported here.

import sys
from pathlib import Path

from avzsl.config.load import load_project
from avzsl.contracts.errors import AvzslError
from avzsl.contracts.jobs import hold_lock
from avzsl.contracts.leftovers import settle
from splits.catalogs import check_options


def checked_project():
    """Check the whole configuration before the DAG starts; a mistake is one readable line."""
    given = dict(config)
    # Snakemake merges mappings key by key; who names benchmarks on the command line or in
    # a --configfile wants these alone, not the demo besides.
    overriding = workflow.config_settings.overwrite_config
    if "benchmarks" in overriding:
        given["benchmarks"] = overriding["benchmarks"]
    files = workflow.config_settings.configfiles
    # With a --configfile of the user's, data sets and methods are looked for beside it first.
    source = files[-1] if files else "config/config.yaml"
    given.pop("configfile", None)
    # Scripts read the same project again from what Snakemake hands them (avzsl.config.load.job_project).
    config.clear()
    config.update(given, configfile=str(source))
    try:
        project = load_project(source, given)
        for name in {benchmark.dataset for benchmark in project.benchmarks.values()}:
            check_options(name, project.dataset(name))
    except AvzslError as error:
        sys.exit(f"avzsl: {error}")
    return project


project = checked_project()

RESULTS = project.config.results
DATA = project.config.data
LOGS = "logs"
BENCHMARKS = list(project.benchmarks)
DATASETS = sorted({benchmark.dataset for benchmark in project.benchmarks.values()})

# One run at a time writes to a results folder. Unlike Snakemake's own lock the kernel drops this one
# when the process dies in whatever way, so that no lock ever waits for a human (profiles/default: nolock).
if workflow.is_main_process and not workflow.dryrun:
    try:
        run_lock = hold_lock(Path(RESULTS) / ".lock", "another run is writing to this results folder")
        settle()
    except AvzslError as error:
        sys.exit(f"avzsl: {error}")


def gpus(wildcards):
    """GPUs of a job that runs networks: one where the configuration or this machine has any."""
    device = project.config.device
    return 1 if device == "cuda" or (device == "auto" and Path("/dev/nvidia0").exists()) else 0


def rule_name(name):
    """Snakemake's rule names are identifiers."""
    return name.replace("-", "_")


def shards_of(dataset):
    return [f"{shard:04d}" for shard in range(project.dataset(dataset).shards)]


wildcard_constraints:
    dataset="[A-Za-z0-9][A-Za-z0-9_-]*",
    features="[A-Za-z0-9][A-Za-z0-9_-]*",
    split="[A-Za-z0-9][A-Za-z0-9_-]*",
    benchmark="[A-Za-z0-9][A-Za-z0-9_-]*",
    method="[A-Za-z0-9][A-Za-z0-9_-]*",
    shard="[0-9]{4,5}",
    seed="[0-9]+",
