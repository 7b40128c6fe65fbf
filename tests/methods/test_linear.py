"""The linear layer gives what PyTorch's gives, whichever library multiplies."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.functional import linear as expected

from avzsl.methods import blocks
from avzsl.methods.blocks import Linear
from avzsl.runtime import products


@pytest.fixture(params=[False, True], ids=["torch", "onednn"])
def layer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Linear:
    if request.param and not torch.backends.mkldnn.is_available():
        pytest.skip("this PyTorch is built without oneDNN")
    for module in (blocks, products):
        monkeypatch.setattr(module, "mkl_is_held_back", lambda: request.param)
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


@pytest.mark.parametrize("parts", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_layer_is_its_modules_one_after_the_other(parts: int, dtype: torch.dtype) -> None:
    """Values, gradients and running statistics; blocks of rows are batches of their own."""
    torch.manual_seed(0)
    made = blocks.layer(20, 7, 0.0, momentum=0.3).to(dtype)
    plain = copy.deepcopy(made)
    with torch.no_grad():
        for one in (made, plain):
            one[1].weight.copy_(torch.linspace(0.5, 2, 7))
            one[1].bias.copy_(torch.linspace(-0.3, 0.3, 7))
    x, weights = torch.randn(12, 20, dtype=dtype), torch.randn(12, 7, dtype=dtype)
    found = []
    for one in (made, plain):
        given = x.clone().requires_grad_()
        if one is made:
            out = one(given, parts)
        else:
            out = torch.cat([one[2](one[1](one[0](block))) for block in given.chunk(parts)])
        found.append((out, *torch.autograd.grad((out * weights).sum(), [given, *one.parameters()])))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(made.state_dict()[name], value, rtol=1e-4, atol=1e-6)


def test_a_layer_drops_its_share_and_scales_the_rest() -> None:
    torch.manual_seed(0)
    made, x = blocks.layer(20, 50, 0.3), torch.randn(400, 20)
    whole = made[2](made[1](made[0](x)))
    made[1].reset_running_stats()
    given = x.clone().requires_grad_()
    out = made(given)
    kept = out != 0
    torch.testing.assert_close(out[kept], whole[kept] / 0.7, rtol=1e-4, atol=1e-5)
    assert float(kept[whole > 0].double().mean()) == pytest.approx(0.7, abs=0.02)
    # Where a value was dropped its derivative is dropped: the gradient of the shift counts what was kept.
    out.sum().backward()
    torch.testing.assert_close(made[1].bias.grad, kept.sum(0) / 0.7, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(made[1].weight.grad, ((whole * kept) / 0.7).sum(0), rtol=1e-3, atol=1e-3)
    assert torch.equal(made(x) != 0, made(x) != 0) is False
    torch.manual_seed(1)
    again = made(x)
    torch.manual_seed(1)
    assert torch.equal(made(x), again)


def test_batch_norm_of_one_clip_is_refused() -> None:
    with pytest.raises(ValueError, match="more than one clip"):
        blocks.layer(4, 3, 0.0)(torch.randn(2, 4), 2)


def test_triplets_are_those_computed_one_by_one() -> None:
    torch.manual_seed(0)
    points = torch.randn(4, 9, 5, dtype=torch.float64)
    wanted = {"x": ("a", "b", "c"), "y": ("b", "a", "d"), "z": ("a", "b", "d")}
    found = blocks.triplets(points, "abcd", wanted, 0.7)
    for name, of in wanted.items():
        rows = [points["abcd".index(letter)] for letter in of]
        torch.testing.assert_close(found[name], blocks.triplet(*rows, 0.7).mean())
