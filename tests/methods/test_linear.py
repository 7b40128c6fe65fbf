"""The linear layer gives what PyTorch's gives, whichever library multiplies."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import linear as expected

from avzsl.methods import blocks
from avzsl.methods.blocks import Linear


@pytest.fixture(params=[False, True], ids=["torch", "onednn"])
def layer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Linear:
    if request.param and not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch is built without oneDNN")
    monkeypatch.setattr(blocks, "mkl_is_held_back", lambda: request.param)
    torch.manual_seed(0)
    return Linear(40, 24)


@pytest.mark.parametrize("shape", [(33, 40), (8, 2, 40), (1, 40)])
def test_values_and_gradients_are_those_of_torch(layer: Linear, shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, requires_grad=True)
    y = layer(x)
    torch.testing.assert_close(y, expected(x, layer.weight, layer.bias))
    wanted = torch.autograd.grad(expected(x, layer.weight, layer.bias).pow(2).sum(), [x, *layer.parameters()])
    torch.testing.assert_close(
        torch.autograd.grad(y.pow(2).sum(), [x, *layer.parameters()]), wanted, rtol=1e-5, atol=1e-4
    )


def test_a_gradient_can_be_differentiated_again(layer: Linear) -> None:
    x = torch.randn(9, 40, requires_grad=True)

    def penalty(y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        (slope,) = torch.autograd.grad(y.tanh().sum(), x, create_graph=True)
        return torch.autograd.grad(slope.norm(dim=1).sum(), [layer.weight, x])

    torch.testing.assert_close(penalty(layer(x)), penalty(expected(x, layer.weight, layer.bias)), rtol=1e-4, atol=1e-5)


def test_other_types_are_left_to_torch(layer: Linear) -> None:
    x = torch.randn(5, 40)
    assert torch.equal(layer.double()(x.double()), expected(x.double(), layer.weight, layer.bias))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer.float()(x).dtype is torch.bfloat16


def test_nothing_is_multiplied_for_what_needs_no_gradient(layer: Linear) -> None:
    x = torch.randn(5, 40)
    layer.weight.requires_grad_(False)
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad is not None
