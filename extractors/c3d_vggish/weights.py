"""The released weight files of C3D and VGGish, by layout: names of tensors, and the file of the whitening.

C3D: `c3d.pickle` of DavideA/c3d-pytorch. VGGish: `vggish-10086976.pth` of torchvggish, or the files of
tcvrick/audioset-vggish-tensorflow-to-pytorch, whose last three layers are called `fc`; the whitening
`vggish_pca_params-970ea276.pth`, or AudioSet's `.npz`. `extractors.c3d_vggish.WHERE` has addresses and licences.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avzsl.contracts.errors import DataError
from avzsl.pretrained.checkpoints import read_content
from extractors.arrays import open_arrays
from extractors.c3d_vggish.networks import AUDIO_DIM, Quantiser

# SHA-256 of published files by name.
PUBLISHED = {"vggish-10086976.pth": "10086976245803799d9194e9a73d9b6c1549c71d1b80106f5cade5608a561f4b"}
KEYS = ("pca_eigen_vectors", "pca_means")


def vggish_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of either layout of VGGish under torchvggish's names."""
    return {
        f"embeddings.{name.removeprefix('fc.')}" if name.startswith("fc.") else name: value
        for name, value in tensors.items()
    }


def read_whitening(path: Path, quantised: bool = True) -> Quantiser:
    """Return the whitening of a `.pth` or `.npz` file; raises DataError if it holds something else."""
    path = Path(path)
    advice = "fetch it again"
    if path.suffix == ".npz":
        with contextlib.ExitStack() as stack:
            arrays_of = open_arrays(path, stack)
            content = {key: arrays_of.read(key) for key in KEYS}
    else:
        content = read_content(path, advice)
    arrays: list[Tensor] = []
    for key, size in zip(KEYS, (AUDIO_DIM**2, AUDIO_DIM), strict=True):
        value = content.get(key) if isinstance(content, dict) else None
        if not isinstance(value, np.ndarray | Tensor) or np.prod(value.shape) != size:
            raise DataError(path, f"holds no {key} of {size} numbers; {advice}")
        arrays.append(torch.as_tensor(np.asarray(value, np.float32)))
    return Quantiser(arrays[0].reshape(AUDIO_DIM, AUDIO_DIM), arrays[1], quantised)
