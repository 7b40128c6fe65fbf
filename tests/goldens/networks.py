"""SeLaVi's networks with seeded random weights on made-up windows, plain and fused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from extractors.base import Window
from extractors.selavi import Options, load
from tests.goldens.digest import digest


def values() -> dict[str, Any]:
    """Return the features of a small window and of a shorter one without picture under both executions."""
    rng = np.random.default_rng(51)
    ramp = np.linspace(-1, 1, 64, dtype=np.float32)
    visual = (
        ramp[:, None, None] * rng.standard_normal(3) + ramp[None, :, None] * rng.standard_normal((12, 1, 1, 3))
    ).astype(np.float32)
    sounds = [rng.standard_normal((1, 257, frames)).astype(np.float32) for frames in (99, 60)]
    windows = [Window(0.0, 1.0, sounds[0], visual), Window(1.0, 1.6, sounds[1])]
    found = {}
    for execution in ("exact", "fused"):
        options = Options.model_validate({"weights": {"random_seed": 5}, "execution": execution})
        audio, picture = load(options, "cpu", 1, Path()).embed(windows)()
        found[execution] = {
            "sound": digest(audio / np.linalg.norm(audio)),
            "picture": digest(picture / np.linalg.norm(picture)),
        }
    return found
