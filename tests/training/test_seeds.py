"""Seeds in one pass against the same seeds one after the other."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from avzsl.contracts.errors import ConfigError
from avzsl.methods import Dims, Method, build
from avzsl.methods.blocks import Dropout, dropping
from avzsl.runtime.accelerator import Accelerator
from avzsl.training.seeds import Seeds, stacked_batch, synthetic_batch

CPU = torch.device("cpu")
SEEDS, SIZE = 3, 8


def method(name: str, seed: int, **options: Any) -> Method:
    torch.manual_seed(seed)
    return build(name, Dims(512, 512, 300), options).double().train()


def batches(step: int) -> list[Any]:
    from dataclasses import fields, replace

    made = []
    for seed in range(SEEDS):
        one = synthetic_batch(SIZE, CPU, 100 * step + seed)
        sides = [
            type(side)(
                *(v.double() if v.is_floating_point() else v for v in (getattr(side, f.name) for f in fields(side)))
            )
            for side in (one.positive, one.negative)
        ]
        made.append(replace(one, positive=sides[0], negative=sides[1], classes=one.classes.double()))
    return made


def masks_of(one: Method, monkeypatch: pytest.MonkeyPatch) -> list[list[Tensor]]:
    """Masks of each seed for every call of dropout in a step, divided by the share that is kept."""
    calls: list[tuple[torch.Size, float]] = []
    forward = Dropout.forward

    def noted(self: Dropout, x: Tensor) -> Tensor:
        if self.p:
            calls.append((x.shape, self.p))
        return x

    monkeypatch.setattr(Dropout, "forward", noted)
    with dropping(None):
        one.loss(batches(0)[0])
    monkeypatch.setattr(Dropout, "forward", forward)
    drawn = []
    for seed in range(SEEDS):
        generator = torch.Generator().manual_seed(seed)
        drawn.append(
            [(torch.rand(shape, generator=generator, dtype=torch.float64) > p) / (1 - p) for shape, p in calls]
        )
    return drawn


@pytest.mark.parametrize("name", ["avca", "avca_branches", "cjme", "cjme_parts", "apn", "avgzslnet", "concat"])
def test_each_seed_is_its_single_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    masks = masks_of(method(name, 0), monkeypatch)
    assert len(masks[0]) > 5 or not name.startswith("avca")
    singles = [method(name, seed) for seed in range(SEEDS)]
    optimisers = [
        torch.optim.Adam(one.trained(), lr=1e-3 * (1 + k), weight_decay=1e-4) for k, one in enumerate(singles)
    ]
    together = Seeds([method(name, seed) for seed in range(SEEDS)], 1e-3, Accelerator(CPU), weight_decay=1e-4)
    together.lr.copy_(torch.tensor([1e-3, 2e-3, 3e-3], dtype=torch.float64))
    for step in range(4):
        given = batches(step)
        expected = []
        for one, optimiser, batch, drawn in zip(singles, optimisers, given, masks, strict=True):
            with dropping(drawn):
                expected.append(one.step(batch, {"adam": optimiser}, 0))
        losses = together.step(stacked_batch(given), [torch.stack(column) for column in zip(*masks, strict=True)])
        torch.testing.assert_close(losses, torch.stack(expected), rtol=1e-9, atol=1e-9)
    for seed, single in enumerate(singles):
        ours = method(name, 99)
        together.into(seed, ours)
        for key, value in single.state_dict().items():
            torch.testing.assert_close(
                ours.state_dict()[key], value, rtol=1e-7, atol=1e-8, msg=lambda m, k=key: f"{k}: {m}"
            )


def test_seeds_draw_masks_of_their_own() -> None:
    same = [method("avca", 0) for _ in range(2)]
    together = Seeds(same, 1e-3, Accelerator(CPU))
    one = batches(0)[0]
    losses = together.step(stacked_batch([one, one]))
    assert losses[0] != losses[1]


def test_recording_leaves_the_models_as_they_were() -> None:
    class Recorder(Accelerator):
        def record(self, work: Any) -> Any:
            for _ in range(3):
                work()
            return work

    plain, recorded = (
        Seeds([method("avca", k) for k in range(2)], 1e-3, card(CPU)) for card in (Accelerator, Recorder)
    )
    batch = stacked_batch(batches(0)[:2])
    step = recorded.recorded(lambda: batch)
    for name, value in recorded.parameters.items():
        assert torch.equal(value, plain.parameters[name])
    assert all(torch.equal(value, plain.buffers[name]) for name, value in recorded.buffers.items())
    torch.manual_seed(0)
    first = step()
    torch.manual_seed(0)
    torch.testing.assert_close(first, plain.step(batch))


def test_what_is_no_plain_step_is_refused() -> None:
    with pytest.raises(ConfigError, match="statistics_passes"):
        Seeds([method("avca", 0, statistics_passes=True)], 1e-3, Accelerator(CPU))


def pair(weight_decay: float = 0.0) -> tuple[list[Method], Seeds]:
    made = [method("concat", seed, dropout=0.0) for seed in range(2)]
    return made, Seeds(made, 1e-3, Accelerator(CPU), **({"weight_decay": weight_decay} if weight_decay else {}))


def test_adam_is_that_of_torch_also_for_gradients_as_small_as_its_eps() -> None:
    """Without being told otherwise nothing decays."""
    made, together = pair()
    optimisers = [torch.optim.Adam(one.trained(), lr=1e-3) for one in made]
    torch.manual_seed(0)
    for _ in range(3):
        given = {name: 1e-8 * torch.randn_like(value) for name, value in together.parameters.items()}
        for seed, (one, optimiser) in enumerate(zip(made, optimisers, strict=True)):
            for name, parameter in one.named_parameters():
                parameter.grad = given[f"method.{name}"][seed].clone()
            optimiser.step()
        together._adam(given)
    for seed, one in enumerate(made):
        for name, parameter in one.named_parameters():
            torch.testing.assert_close(together.parameters[f"method.{name}"][seed], parameter.data, rtol=1e-12, atol=0)


def test_averages_of_gradients_go_into_an_optimiser_and_come_back() -> None:
    _, together = pair(1e-4)
    for step in range(2):
        together.step(stacked_batch(batches(step)[:2]))
    again = Seeds([method("concat", 9, dropout=0.0) for _ in range(2)], 1e-3, Accelerator(CPU), weight_decay=1e-4)
    taken = []
    for seed in range(2):
        one = method("concat", 5, dropout=0.0)
        optimiser = torch.optim.Adam(one.trained(), lr=1e-3, weight_decay=1e-4)
        again.optimiser_from(seed, one, optimiser)  # no step yet: nothing to take
        together.into(seed, one)
        together.optimiser_into(seed, one, optimiser)
        assert {float(state["step"]) for state in optimiser.state.values()} == {2.0}
        assert len(optimiser.state) == len(one.trained())
        again.optimiser_from(seed, one, optimiser)
        taken.append((one, optimiser))
    for ours, theirs in ((again._first, together._first), (again._second, together._second)):
        for name, value in theirs.items():
            assert torch.equal(ours[name], value), name
    assert again._steps == together._steps == 2
    given = batches(7)[:2]
    together.step(stacked_batch(given))
    for seed, (one, optimiser) in enumerate(taken):
        one.train().step(given[seed], {"adam": optimiser}, 0)
        for name, value in one.state_dict().items():
            whole = {**together.parameters, **together.buffers}[f"method.{name}"][seed]
            torch.testing.assert_close(whole, value, rtol=1e-9, atol=1e-12)


def test_what_is_not_trained_stays() -> None:
    made = [method("avca", seed, position_embedding="frozen") for seed in range(2)]
    before = [one.position.detach().clone() for one in made]
    together = Seeds(made, 1e-3, Accelerator(CPU), weight_decay=0.1)
    together.step(stacked_batch(batches(0)[:2]))
    for seed, value in enumerate(before):
        assert torch.equal(together.parameters["method.position"][seed], value)


def test_a_synthetic_batch_is_what_was_asked_for() -> None:
    batch = synthetic_batch(5, CPU, 0)
    assert len(batch.classes) == 30 and batch.classes.shape[1] == 300
    for side in (batch.positive, batch.negative):
        assert side.audio.shape == side.visual.shape == (5, 512)
        assert torch.equal(side.text, batch.classes[side.labels])
