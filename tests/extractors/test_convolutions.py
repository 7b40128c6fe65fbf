"""Networks as they infer (BatchNorm folded, channels last, oneDNN) are the modules they were made of."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from extractors.c3d_vggish.networks import C3D
from extractors.convolutions import by_onednn, fold
from extractors.i3d_audiocnn.audio_network import AudioNetwork
from extractors.i3d_audiocnn.i3d import MIXED, Mixed, Unit, pool, same

CPU = torch.device("cpu")
torch.set_num_threads(1)


def lively(network: nn.Module) -> nn.Module:
    """Give every BatchNorm statistics that matter."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.uniform_(-0.3, 0.3)
            for tensor in (module.running_var, module.weight.data):
                tensor.uniform_(0.5, 2.0)
    return network.eval()


@torch.inference_mode()
@pytest.mark.parametrize("frames", [4, 5])
def test_units_and_blocks_of_i3d(frames: int) -> None:
    network = lively(nn.Sequential(Unit(3, 192, (7, 7, 7), (2, 2, 2)), Mixed(192, MIXED["Mixed_3b"])))
    x = torch.randn(1, 3, frames, 15, 16)
    made = by_onednn(fold(copy.deepcopy(network)), CPU)
    assert not any(isinstance(module, nn.BatchNorm3d) for module in made.modules())
    torch.testing.assert_close(made(x), network(x), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_c3d_and_the_audio_network() -> None:
    plain, x = lively(C3D("fc6")), torch.randn(1, 3, 16, 112, 112)
    torch.testing.assert_close(by_onednn(copy.deepcopy(plain), CPU)(x), plain(x), rtol=1e-4, atol=1e-5)
    plain, x = lively(AudioNetwork(3)), torch.randn(1, 130, 128)
    torch.testing.assert_close(fold(copy.deepcopy(plain))(x), plain(x), rtol=1e-4, atol=1e-5)


def test_every_convolution_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    made = by_onednn(fold(Mixed(192, MIXED["Mixed_3b"])), CPU)
    real, sizes = torch.mkldnn_convolution, []

    def counted(x: torch.Tensor, *how: object) -> torch.Tensor:
        sizes.append(tuple(x.shape[2:]))
        return real(x, *how)

    monkeypatch.setattr(torch, "mkldnn_convolution", counted)
    with torch.inference_mode():
        made(torch.randn(1, 192, 2, 4, 4))  # so small that torch itself would not choose oneDNN
    assert sizes == [(2, 4, 4)] * 6


@pytest.mark.parametrize("size", range(5, 12))
def test_poolings_pad_as_tensorflow_does(size: int) -> None:
    x = torch.rand(1, 1, size, size, size)
    for kernel, stride in (
        ((3, 3, 3), (1, 1, 1)),
        ((3, 3, 3), (2, 2, 2)),
        ((1, 3, 3), (1, 2, 2)),
        ((2, 2, 2), (2, 2, 2)),
    ):
        pads = [width for pair in reversed(same(x.shape[2:], kernel, stride)) for width in pair]
        torch.testing.assert_close(
            pool(x, kernel, stride), functional.max_pool3d(functional.pad(x, pads), kernel, stride)
        )
