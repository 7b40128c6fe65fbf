"""A network on a CPU through OpenVINO, an optional package."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn

from avzsl.contracts.errors import ConfigError

_PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVinoNetwork:
    """A torch module as OpenVINO compiles it for this processor: (N, ...) -> what the module gives for each item, float32.

    The same function, convolutions by whatever algorithm OpenVINO finds fastest. `example` is one item, (1, ...), with the
    shape of all; `dtype` is that of the arithmetic, float32 or bfloat16. Items run one at a time on all threads.
    Raises ConfigError if OpenVINO is not installed.
    """

    def __init__(self, module: nn.Module, example: Tensor, dtype: torch.dtype, threads: int) -> None:
        openvino = _import()
        with torch.no_grad():
            model = openvino.convert_model(torch.export.export(module, (example,)))
        settings = {
            "INFERENCE_PRECISION_HINT": _PRECISIONS[dtype],
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

    def __call__(self, items: Tensor) -> Tensor:
        return torch.cat([torch.from_numpy(self._request.infer([item[None].numpy()])[0].copy()) for item in items])


def refuse_gpu(backend: str, device: str) -> None:
    """Raise ConfigError where a GPU was asked for and OpenVINO is to run the networks."""
    if backend == "openvino" and device == "cuda":
        raise ConfigError("features: backend: openvino runs on a CPU; use device: cpu, or backend: torch on a GPU")


def _import() -> Any:
    # OpenVINO reports every import to its makers unless this package is missing; nobody here agreed to that.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(
            "features: backend: openvino needs a package that is not installed: pip install 'avzsl[openvino]' "
            f"(in a checkout: pip install -e '.[openvino]'), or use backend: torch ({error})"
        ) from error
    return openvino
