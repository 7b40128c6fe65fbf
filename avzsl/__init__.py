"""avzsl: audio-visual zero-shot learning benchmarks, from raw video to results table."""

__version__ = "0.1.0"
