"""A published checkpoint -> its tensors alone, as safetensors, with a record of what was left behind."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from avzsl.contracts.atomic import replacing, write_json
from avzsl.contracts.errors import DataError
from avzsl.contracts.hashing import sha256_file
from avzsl.contracts.sizes import bomb_in_zip
from avzsl.pretrained.checkpoints import ADVICE, plain, read_content
from avzsl.pretrained.torchscript import is_torchscript, read_torchscript
from avzsl.pretrained.yamnet import is_onnx, read_yamnet

# Archives with code that are known; any other is opened for a checksum that the user gives.
KNOWN_ARCHIVES = {"40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af": "ViT-B-32.pt of OpenAI"}


def convert(path: Path, out: Path, sha256: str | None = None) -> dict[str, Any]:
    """Write the tensors of a checkpoint to `out` (.safetensors) and what became of the rest to `out`.json; return that.

    Tensors of the state dict keep their names, less `module.`, and their types; so do the arrays of an .npz, and YAMNet's in ONNX
    get the names that `avzsl.pretrained.yamnet` gives them. Nothing of the file is executed; an archive of TorchScript is only opened if its checksum is known or is `sha256`. Raises DataError for a file that is no checkpoint or has
    another checksum, or if `out` is there already.
    """
    path, out = Path(path), Path(out)
    if not path.is_file():
        raise DataError(path, "does not exist; correct the path")
    if out.exists():
        raise DataError(out, "is there already; delete it or give another name with --out")
    digest = sha256_file(path)
    if sha256 and digest != sha256.lower():
        raise DataError(path, f"has sha256 {digest}, expected {sha256}; {ADVICE}")
    if is_torchscript(path):
        if not sha256 and digest not in KNOWN_ARCHIVES:
            raise DataError(
                path,
                f"is a TorchScript archive of unknown sha256 {digest}; if its publisher says the same, give it as --sha256",
            )
        tensors, others = read_torchscript(path)
        dropped = {name: "no tensor" for name in others} | {"code": "TorchScript, not read"}
    elif is_npz(path):
        tensors, dropped = _state(read_npz(path), path)
    elif is_onnx(path):
        tensors = {name: torch.from_numpy(array) for name, array in read_yamnet(path).items()}
        dropped = {"graph": "ONNX, not run"}
    else:
        tensors, dropped = _state(read_content(path, ADVICE), path)
    if not tensors:
        raise DataError(path, f"holds no tensors by name; {ADVICE}")
    # A copy each, for tensors that share their numbers cannot be written.
    kept = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
    record = {
        "source": path.name, "sha256": digest, "source_bytes": path.stat().st_size, "tensors": len(kept),
        "bytes": sum(value.numel() * value.element_size() for value in kept.values()), "dropped": dropped,
    }  # fmt: skip
    with replacing(out) as partial:
        save_file(kept, partial, {"format": "pt", "source": path.name, "source_sha256": digest})
    write_json(out.with_name(out.name + ".json"), record)
    return record


def is_npz(path: Path) -> bool:
    """Whether a file is a zip archive of NumPy arrays alone."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name; nothing is unpickled. Raises DataError for a damaged one."""
    bomb = bomb_in_zip(path)
    if bomb is not None:
        raise DataError(path, f"unpacks to more than its bytes can hold ({bomb}); this is refused")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(path, f"is not a whole file of arrays ({error}); {ADVICE}") from error


def _state(content: Any, path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of the state dict by name, and what stands beside them."""
    if not isinstance(content, dict):
        raise DataError(path, f"holds no state dict; {ADVICE}")
    dropped: dict[str, str] = {}
    model = content
    for key in ("model", "state_dict"):
        if isinstance(content.get(key), dict):
            model = content[key]
            dropped = {str(name): _kind(value) for name, value in content.items() if name != key}
            break
    tensors: dict[str, Tensor] = {}
    for name, value in model.items():
        array = torch.as_tensor(value) if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" else value
        if isinstance(array, Tensor):
            tensors[str(name).replace("module.", "")] = plain(array, str(name), path)
        else:
            dropped[str(name)] = _kind(value)
    return tensors, dropped


def _kind(value: Any) -> str:
    if isinstance(value, Tensor | np.ndarray):
        return f"tensor of shape {tuple(value.shape)}"
    return f"{type(value).__name__} of {len(value)}" if isinstance(value, dict | list | tuple) else type(value).__name__
