"""A slip of released extraction code that several feature sets share."""

from __future__ import annotations

import numpy as np


def invert(pixels: np.ndarray) -> np.ndarray:
    """Return (256 - v) mod 256: what torchvision makes of a picture of floats from 0 to 255, which it takes to be of 0 to 1."""
    return np.negative(pixels)  # of bytes, which wrap around
