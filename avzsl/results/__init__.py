"""A results folder: where its files are, what its records hold, and the project it was built from."""

from avzsl.results.places import Places, shard_name
from avzsl.results.records import BenchmarkRecord, RunRecord, read_benchmark, read_run

__all__ = ["BenchmarkRecord", "Places", "RunRecord", "read_benchmark", "read_run", "shard_name"]
