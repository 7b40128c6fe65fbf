"""YAMNet's tensors out of an ONNX file.

YAMNet (AudioSet, 521 classes) is MobileNet v1 (Howard et al., 2017) on log-mel patches of 96 x 64: 27 convolutions with batch
norm folded in, the mean over the map, and a linear layer. Only the float32 initialisers are read: a quantised export is
undone by leaving its Quantize and Dequantize nodes out, and the graph is never run.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.contracts.errors import ConfigError, DataError
from avzsl.pretrained.wheels import INSTALL

DIM, LABELS = 1024, 521
# Stride and output channels of the 14 layers; all but the first are a depthwise and a pointwise convolution.
LAYERS = (
    (2, 32), (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512),
    (1, 512), (1, 512), (1, 512), (1, 512), (1, 512), (2, 1024), (1, 1024),
)  # fmt: skip
MAX_BYTES = 1 << 28
ADVICE = "correct features.weights.path"


def shapes() -> dict[str, tuple[int, ...]]:
    """Return name and shape of every tensor: `conv.0.weight` ... `conv.26.bias`, `head.weight`, `head.bias`."""
    found: dict[str, tuple[int, ...]] = {}
    width = 1
    for _, channels in LAYERS:
        pair = [(channels, 1, 3, 3)] if width == 1 else [(width, 1, 3, 3), (channels, width, 1, 1)]
        for shape in pair:
            number = len(found) // 2
            found |= {f"conv.{number}.weight": shape, f"conv.{number}.bias": shape[:1]}
        width = channels
    return found | {"head.weight": (LABELS, DIM), "head.bias": (LABELS,)}


def plan() -> list[tuple[int, int]]:
    """Return stride and groups of the 27 convolutions; stride 2 pads below and right alone, as TensorFlow's SAME does."""
    steps, width = [(LAYERS[0][0], 1)], LAYERS[0][1]
    for stride, channels in LAYERS[1:]:
        steps += [(stride, width), (1, 1)]
        width = channels
    return steps


def is_onnx(path: Path) -> bool:
    """Whether a file is called .onnx, or is a zip archive with one such file."""
    if not zipfile.is_zipfile(path):
        return path.suffix == ".onnx"
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith(".onnx") for name in archive.namelist())


def read_yamnet(path: Path) -> dict[str, np.ndarray]:
    """Return the float32 tensors of `shapes` from an ONNX file, alone, with its data file beside it, or zipped with it.

    A .safetensors holds them as they are. Raises DataError for a file of another layout, ConfigError without the package onnx.
    """
    if path.suffix == ".safetensors":
        import torch

        from avzsl.pretrained.checkpoints import fit_state, read_tensors

        tensors = read_tensors(path, ADVICE)
        template = {name: torch.empty(shape) for name, shape in shapes().items()}
        return {name: value.numpy() for name, value in fit_state(path, tensors, template, ADVICE).items()}
    try:
        import onnx
    except ImportError:
        raise ConfigError(f"the package onnx is not installed: {INSTALL}") from None
    try:
        model_bytes, external = _contents(path)
        graph = onnx.load_model_from_string(model_bytes).graph
        return _Graph(graph, external).tensors()
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(path, f"is no YAMNet in ONNX ({error}); correct features.weights.path") from error
    except Exception as error:  # protobuf's own error, which onnx does not wrap
        if type(error).__name__ != "DecodeError":
            raise
        raise DataError(path, "is no ONNX file; correct features.weights.path") from error


def _contents(path: Path) -> tuple[bytes, dict[str, bytes]]:
    """Return the model and, by name, the data files that it may refer to."""
    if not zipfile.is_zipfile(path):
        beside = {f.name: f for f in path.parent.glob("*.data") if f.is_file() and f.stat().st_size < MAX_BYTES}
        return path.read_bytes(), {name: file.read_bytes() for name, file in beside.items()}
    with zipfile.ZipFile(path) as archive:
        files = {info.filename.rsplit("/", 1)[-1]: info for info in archive.infolist() if not info.is_dir()}
        if sum(info.file_size for info in files.values()) > MAX_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_BYTES >> 20} MiB")
        models = [name for name in files if name.endswith(".onnx")]
        if len(models) != 1:
            raise ValueError(f"it holds {len(models)} files .onnx")
        read = {name: archive.read(info) for name, info in files.items() if name.endswith((".onnx", ".data"))}
    return read.pop(models[0]), read


class _Graph:
    """The initialisers of a graph, looked up through what quantisation put before them."""

    def __init__(self, graph: Any, external: dict[str, bytes]) -> None:
        self._graph = graph
        self._external = external
        self._initialisers = {tensor.name: tensor for tensor in graph.initializer}
        self._made_by = {name: node for node in graph.node for name in node.output}

    def tensors(self) -> dict[str, np.ndarray]:
        expected, steps = shapes(), plan()
        convolutions = [node for node in self._graph.node if node.op_type == "Conv"]
        heads = [node for node in self._graph.node if node.op_type in ("Gemm", "MatMul")]
        if len(convolutions) != len(steps) or len(heads) != 1:
            raise ValueError(f"it has {len(convolutions)} convolutions and {len(heads)} linear layers, not 27 and 1")
        found = {}
        for number, (node, (stride, groups)) in enumerate(zip(convolutions, steps, strict=True)):
            said = {a.name: list(a.ints) or a.i for a in node.attribute}
            if said.get("strides") != [stride, stride] or said.get("group", 1) != groups:
                raise ValueError(f"convolution {number} has other strides or groups")
            found[f"conv.{number}.weight"] = self._array(node.input[1])
            found[f"conv.{number}.bias"] = self._array(node.input[2])
        weight = self._array(heads[0].input[1])
        found["head.weight"] = weight if weight.shape == expected["head.weight"] else weight.T
        found["head.bias"] = self._array(heads[0].input[2])
        for name, shape in expected.items():
            if found[name].shape != shape or not np.isfinite(found[name]).all():
                raise ValueError(f"tensor {name} has shape {found[name].shape} instead of {shape}, or NaN")
        return found

    def _array(self, name: str) -> np.ndarray:
        for _ in range(8):
            if name in self._initialisers:
                break
            name = self._made_by[name].input[0]
        tensor = self._initialisers[name]
        if tensor.data_type != 1:
            raise ValueError(f"initialiser {name} is not float32")
        data = tensor.raw_data
        if tensor.data_location == 1:
            where = {entry.key: entry.value for entry in tensor.external_data}
            start = int(where.get("offset", 0))
            data = self._external[Path(where["location"]).name][start : start + 4 * math.prod(tensor.dims)]
        elif not tensor.raw_data:
            return np.array(tensor.float_data, np.float32).reshape(tuple(tensor.dims))
        return np.frombuffer(data, "<f4").reshape(tuple(tensor.dims)).astype(np.float32)
