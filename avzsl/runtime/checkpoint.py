"""Checkpoints: everything a stage needs to continue to the identical result."""

from __future__ import annotations

import io
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from avzsl.contracts.atomic import replacing

logger = logging.getLogger(__name__)


def save(path: Path, fingerprint: str, state: dict[str, Any]) -> None:
    """Write tensors and plain values to `path` in one step."""
    # Written by Python: torch's own writer says nothing of a full disk.
    content = io.BytesIO()
    torch.save({"fingerprint": fingerprint, **state}, content)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def restore(path: Path, fingerprint: str, device: torch.device) -> dict[str, Any] | None:
    """Return the state saved under the same fingerprint, or None if there is none.

    A checkpoint of another configuration, benchmark or version, or one that cannot be read, is left aside: training
    then starts from the beginning. Nothing in the file is executed.
    """
    if not path.is_file():
        return None
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        logger.warning("%s cannot be read (%s); training starts from the beginning", path, error)
        return None
    if not isinstance(state, dict) or state.get("fingerprint") != fingerprint:
        logger.info("%s belongs to another configuration; training starts from the beginning", path)
        return None
    return state


def random_state(device: torch.device, generators: Mapping[str, torch.Generator]) -> dict[str, Any]:
    """Return the state of every random stream that training draws from."""
    state = {name: generator.get_state() for name, generator in generators.items()} | {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, Any], device: torch.device, generators: Mapping[str, torch.Generator]) -> None:
    """Put every random stream back to where `random_state` found it."""
    torch.set_rng_state(state["cpu"].cpu())
    for name, generator in generators.items():
        generator.set_state(state[name].cpu())
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
