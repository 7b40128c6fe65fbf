"""A split, packed features and class embeddings, joined and checked before anything trains. No torch in here."""

from avzsl.benchmark.assemble import assemble
from avzsl.benchmark.data import BenchmarkData, Subset, load

__all__ = ["BenchmarkData", "Subset", "assemble", "load"]
