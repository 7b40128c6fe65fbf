"""Where networks run."""

from __future__ import annotations

import logging

import torch

from avzsl.contracts.errors import ConfigError

logger = logging.getLogger(__name__)


def choose_device(device: str) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda"; auto says once where it runs if there is no GPU.

    Raises ConfigError for a GPU that is not there.
    """
    if device == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if device == "cuda":
        raise ConfigError("device: cuda was asked for, but torch sees no GPU; use device: auto or cpu")
    logger.info("no GPU: features are extracted on the CPU")
    return torch.device("cpu")
