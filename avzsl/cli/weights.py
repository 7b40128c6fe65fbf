"""`avzsl weights convert`: a published checkpoint as tensors alone."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the sub-command."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "weights",
        help="turn a published checkpoint into safetensors",
        description="Checkpoints are published as pickles and archives of code, with optimisers and logs inside. `avzsl weights "
        "convert FILE` keeps the tensors alone, as a .safetensors that every extractor and text backend of avzsl takes in the "
        "place of the original, and lists in FILE.safetensors.json what it left behind. Nothing of the file is executed. A "
        "TorchScript archive (OpenAI's ViT-B-32.pt) is only opened if its checksum is a known one or that of --sha256.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    one = actions.add_parser(
        "convert", help="keep the tensors of a checkpoint", description="Keep the tensors of a checkpoint."
    )
    one.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="a checkpoint: .pt, .pth, .pkl, .pickle, .bin, .npz, .onnx or its .zip, .safetensors",
    )
    one.add_argument(
        "--out", type=Path, default=None, metavar="FILE", help="default: beside it, with the suffix .safetensors"
    )
    one.add_argument("--sha256", default=None, metavar="HEX", help="the checksum that its publisher names")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Convert one file and say what was kept."""
    import logging

    from avzsl.pretrained.convert import convert

    out = options.out or options.file.with_suffix(".safetensors")
    record = convert(options.file, out, options.sha256)
    logger = logging.getLogger(__name__)
    logger.info(
        "%s: %d tensors, %.1f MB of %.1f MB",
        out,
        record["tensors"],
        record["bytes"] / 1e6,
        record["source_bytes"] / 1e6,
    )
    for name, kind in record["dropped"].items():
        logger.info("left behind: %s (%s)", name, kind)
    return 0
