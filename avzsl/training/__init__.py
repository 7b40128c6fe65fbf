"""The two-stage protocol: from a benchmark to a run."""

from avzsl.training.run import run

__all__ = ["run"]
