"""The video trunk on a CPU through OpenVINO, an optional package."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn

from avzsl.contracts.errors import ConfigError
from extractors.selavi.picture import SIZE

FRAMES = 30
PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVinoVideoTrunk:
    """R(2+1)D-18 as OpenVINO compiles it for this processor: (N, 30, 112, 112, 3) -> (N, 512) float32.

    The same function as `video_trunk`, BatchNorm folded, convolutions by whatever algorithm OpenVINO finds fastest.
    `dtype` is that of its arithmetic, float32 or bfloat16; what goes in and comes out is float32.
    Raises ConfigError if OpenVINO is not installed.
    """

    def __init__(self, trunk: nn.Module, dtype: torch.dtype, threads: int) -> None:
        openvino = _import()
        example = torch.zeros(1, FRAMES, SIZE, SIZE, 3)
        with torch.no_grad():
            model = openvino.convert_model(torch.export.export(_ChannelsLast(trunk), (example,)))
        settings = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[dtype],
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",  # one window at a time on all threads, as the other executions on a CPU
        }
        self._request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

    def __call__(self, video: Tensor) -> Tensor:
        parts = [torch.from_numpy(self._request.infer([window[None].numpy()])[0].copy()) for window in video]
        return torch.cat(parts)


class _ChannelsLast(nn.Module):
    """The trunk on frames as a decoder gives them."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, video: Tensor) -> Tensor:
        return self.trunk(video.permute(0, 4, 1, 2, 3))


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
