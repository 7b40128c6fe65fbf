"""The two-stage protocol: from a benchmark to a run (`avzsl.training.run`). Importing this package loads nothing."""
