"""The released weight files of C3D and VGGish, by layout.

C3D: `c3d.pickle` of DavideA/c3d-pytorch (converted from facebook/C3D, whose licence is unclear; about 320 MB).
VGGish: `vggish-10086976.pth` of torchvggish, or the files of tcvrick/audioset-vggish-tensorflow-to-pytorch, whose last three
layers are called `fc` (Apache-2.0; about 288 MB); the whitening `vggish_pca_params-970ea276.pth`, or AudioSet's `.npz`.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avzsl.contracts.errors import DataError
from avzsl.pretrained.checkpoints import read_checkpoint, read_content
from extractors.c3d_vggish.networks import AUDIO_DIM, C3D, Quantiser, VGGish

VGGISH_SHA256 = "10086976245803799d9194e9a73d9b6c1549c71d1b80106f5cade5608a561f4b"
KEYS = ("pca_eigen_vectors", "pca_means")


def read_c3d(path: Path, layer: str = "fc7") -> C3D:
    """Return C3D with the weights of a file; raises DataError for a file of another layout."""
    with torch.device("meta"):
        network = C3D(layer)
    network.load_state_dict(read_checkpoint(path, network.state_dict()), assign=True)
    return network.eval()


def read_vggish(path: Path) -> VGGish:
    """Return VGGish with the weights of a file; raises DataError for a file of another layout."""
    with torch.device("meta"):
        network = VGGish()
    network.load_state_dict(read_checkpoint(path, network.state_dict(), vggish_name), assign=True)
    return network.eval()


def vggish_name(name: str) -> str:
    """Return the name of a tensor of either layout in torchvggish's."""
    return f"embeddings.{name.removeprefix('fc.')}" if name.startswith("fc.") else name


def read_whitening(path: Path, quantised: bool = True) -> Quantiser:
    """Return the whitening of a `.pth` or `.npz` file; raises DataError if it holds something else."""
    path = Path(path)
    advice = "fetch it again"
    if path.suffix == ".npz":
        try:
            with np.load(path, allow_pickle=False) as stream:
                content = {key: stream[key] for key in KEYS if key in stream}
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(path, f"is not a whole .npz file of arrays; {advice}") from error
    else:
        content = read_content(path, advice)
    arrays: list[Tensor] = []
    for key, size in zip(KEYS, (AUDIO_DIM**2, AUDIO_DIM), strict=True):
        value = content.get(key) if isinstance(content, dict) else None
        if not isinstance(value, np.ndarray | Tensor) or np.prod(value.shape) != size:
            raise DataError(path, f"holds no {key} of {size} numbers; {advice}")
        arrays.append(torch.as_tensor(np.asarray(value, np.float32)))
    return Quantiser(arrays[0].reshape(AUDIO_DIM, AUDIO_DIM), arrays[1], quantised)
