"""Convolutions with fewer multiplications, and the trunks made of them, against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from avzsl.pretrained.checkpoints import random_state
from extractors.c3d_vggish.fused import FusedC3D
from extractors.c3d_vggish.networks import C3D
from extractors.i3d_audiocnn.fused import FusedI3D
from extractors.i3d_audiocnn.i3d import I3D
from extractors.winograd import Winograd

torch.set_num_threads(1)


@torch.inference_mode()
@pytest.mark.parametrize("size", [(1, 5, 7), (2, 7, 7), (3, 6, 9), (2, 60, 80)])
def test_it_is_the_convolution_and_its_relu(size: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    plain = torch.nn.Conv3d(5, 6, 3, padding=1)
    x = torch.randn(1, 5, *size)
    found = Winograd(plain.weight, plain.bias)(x[0].permute(1, 2, 3, 0).contiguous())
    torch.testing.assert_close(found.permute(3, 0, 1, 2)[None], functional.relu(plain(x)), rtol=1e-5, atol=2e-6)


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize(("kind", "shape"), [(C3D, (2, 3, 16, 112, 112)), (I3D, (1, 3, 17, 224, 224))])
def test_trunks(kind: type[C3D] | type[I3D], shape: tuple[int, ...]) -> None:
    network = kind().eval()
    state = random_state(network.state_dict(), 0)
    for name, value in state.items():  # batch norms that do something
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif name.endswith(("bias", "running_mean")):
            value.uniform_(-0.1, 0.1)
    network.load_state_dict(state)
    fused = (FusedC3D if kind is C3D else FusedI3D)(network).eval()  # type: ignore[arg-type]
    x = torch.rand(shape) * 2 - 1
    expected = network(x)
    assert (fused(x) - expected).abs().max() < 1e-5 * expected.abs().max()
