"""TCaF: masks, padding, clocks, normalisation, ablations; each option does what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avzsl.config.methods import TrainingConfig
from avzsl.contracts.errors import ConfigError
from avzsl.methods import Batch, Clips, Dims
from avzsl.methods.base import Steps
from avzsl.methods.tcaf import TCaF
from avzsl.methods.tcaf_parts import attention_mask, average, normalise, real
from tests.methods import reference

torch.set_num_threads(1)
DIMS = Dims(6, 8, 5)
TINY = {"encoder_hidden": 7, "decoder_hidden": 9, "depth": 2, "heads": 2, "head_width": 4, "feed_forward_hidden": 6}


def make(preset: str = "corrected", **changes: object) -> TCaF:
    torch.manual_seed(0)
    method = reference.make("tcaf", DIMS, preset, **TINY, **changes)
    assert isinstance(method, TCaF)
    return method


def steps(lengths: list[int], width: int, seed: int, longest: int | None = None, seconds: float = 1.0) -> Steps:
    count = torch.tensor(lengths)
    rng = torch.Generator().manual_seed(seed)
    index = torch.arange(longest or max(lengths), dtype=torch.float64)
    own = (index < count[:, None])[..., None]
    # Values of a clip do not depend on the padding.
    values = torch.stack([torch.rand(64, width, generator=rng, dtype=torch.float64) for _ in lengths])
    times = torch.stack([index, index + 1], -1) * seconds
    return Steps(values[:, : len(index)] * own, count, times * own)


def batch(seed: int = 0, pad: int = 0) -> Batch:
    audio, visual = [3, 1, 4, 2, 4, 2], [5, 2, 1, 3, 5, 4]
    rng = torch.Generator().manual_seed(seed)
    classes = torch.randn(4, DIMS.text, generator=rng, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    clips = Clips(
        steps(audio, DIMS.audio, seed + 1, 4 + pad, 0.9),
        steps(visual, DIMS.visual, seed + 2, 5 + pad, 0.6),
        classes[labels],
        labels,
    )
    return Batch(clips, clips, classes)


def theta(method: TCaF, b: Batch) -> torch.Tensor:
    return method.eval().embed(b.positive.audio, b.positive.visual, b.classes)["both"].detach()


def test_who_attends_to_whom():
    audio, visual = torch.tensor([[True, True, False]]), torch.tensor([[True, False]])
    seen = {kind: attention_mask(audio, visual, kind)[0, 0].int().tolist() for kind in ("cross", "self", "both")}
    # Columns: class token, audio 1, 2, padding, visual 1, padding.
    assert seen["cross"][:3] == [[1, 1, 1, 0, 1, 0], [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 1, 0]]
    assert seen["cross"][4] == [1, 1, 1, 0, 0, 0]
    assert seen["self"][:3] == [[1, 1, 1, 0, 1, 0], [1, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0]]
    assert seen["self"][4] == [1, 0, 0, 0, 1, 0]
    assert all(row == [1, 1, 1, 0, 1, 0] for row in seen["both"])


@pytest.mark.parametrize("preset", ["corrected", "as_released"])
@pytest.mark.parametrize("kind", ["cross", "self", "both"])
def test_padding_does_not_change_a_clip(preset, kind):
    method = make(preset, attention=kind)
    torch.testing.assert_close(theta(method, batch()), theta(method, batch(pad=7)))


@pytest.mark.parametrize("preset", ["corrected", "as_released"])
def test_what_stands_in_padded_steps_is_not_looked_at(preset):
    method, b = make(preset, audio_norm="none", visual_norm="none"), batch(pad=2)
    plain = theta(method, b)
    for clip_steps in (b.positive.audio, b.positive.visual):
        clip_steps.values[~real(clip_steps)] = 1e3
        clip_steps.times[~real(clip_steps)] = 1e3
    torch.testing.assert_close(theta(method, b), plain)


def test_a_clip_alone_is_the_clip_in_its_batch():
    method, b = make(), batch()
    together = theta(method, b)
    for i in range(6):
        one = [
            Steps(s.values[i : i + 1], s.lengths[i : i + 1], s.times[i : i + 1])
            for s in (b.positive.audio, b.positive.visual)
        ]
        torch.testing.assert_close(method.embed(*one, b.classes)["both"].detach()[0], together[i])


def test_padding_counts_in_training_only_as_released():
    for preset, changes in (("corrected", False), ("as_released", True)):
        buffers = []
        for pad in (0, 6):
            method = make(preset)
            method.train().loss(batch(pad=pad))
            buffers.append(method.encoders[0].encode[0][1].running_mean.clone())
        assert torch.allclose(*buffers) != changes, preset


def test_a_clip_may_lack_a_modality():
    method, b = make(), batch()
    silent = Steps(b.positive.audio.values[:, :0], torch.zeros(6, dtype=torch.long), b.positive.audio.times[:, :0])
    clips = Clips(silent, b.positive.visual, b.positive.text, b.positive.labels)
    method.train().loss(Batch(clips, clips, b.classes)).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())
    b.positive.audio.lengths[0] = 0
    b.positive.audio.values[0] = 0
    assert theta(make(), b).isfinite().all()
    assert theta(make(average_steps=True), b).isfinite().all()
    assert theta(make(average_steps=True), Batch(clips, clips, b.classes)).isfinite().all()


def test_places_that_came_with_the_batch_are_those_found_in_it():
    method, b = make(), batch(pad=2)
    plain = theta(method, b)
    given = [
        Steps(s.values, s.lengths, s.times, real(s).flatten().nonzero()[:, 0])
        for s in (b.positive.audio, b.positive.visual)
    ]
    assert torch.equal(
        theta(method, Batch(Clips(*given, b.positive.text, b.positive.labels), b.negative, b.classes)), plain
    )


def test_order_in_time_matters_only_through_the_clock():
    b = batch()
    swapped = Steps(b.positive.visual.values.clone(), b.positive.visual.lengths, b.positive.visual.times)
    swapped.values[0, :5] = swapped.values[0, :5].flip(0)
    clips = Clips(b.positive.audio, swapped, b.positive.text, b.positive.labels)
    for changes, same in (({}, False), ({"training_time": "none"}, True), ({"average_steps": True}, True)):
        method = make(**changes)
        assert torch.allclose(theta(method, b), theta(method, Batch(clips, clips, b.classes)), atol=1e-12) == same


def test_corrected_has_one_clock_and_as_released_two():
    b = batch()
    for preset, same in (("corrected", True), ("as_released", False)):
        method = make(preset, padded_batch_norm=False, audio_step_seconds=0.9, visual_step_seconds=0.6).eval()
        trained = method.intermediates(b)["theta_o"].detach()
        assert torch.allclose(trained, theta(method, b)) == same, preset
    # Nominal steps of the true length are the true seconds.
    method = make(training_time="nominal", audio_step_seconds=0.9, visual_step_seconds=0.6)
    torch.testing.assert_close(theta(method, b), theta(make(), b))


def test_normalisation():
    values = torch.rand(2, 3, 4)
    torch.testing.assert_close(normalise(values, "channel").norm(dim=2), torch.ones(2, 3))
    torch.testing.assert_close(normalise(values, "time").norm(dim=1), torch.ones(2, 4))
    torch.testing.assert_close(normalise(values, "byte"), values / 255)
    assert torch.equal(normalise(values, "none"), values)
    assert normalise(torch.zeros(1, 2, 3), "time").isfinite().all()


def test_average_is_the_mean_over_real_steps():
    part = steps([3, 0], 4, 0, longest=5, seconds=2.0)
    one = average(part)
    assert one.values.shape == (2, 1, 4)
    assert one.lengths.tolist() == [1, 0]
    torch.testing.assert_close(one.values[0, 0], part.values[0, :3].mean(0))
    assert one.times[0, 0].tolist() == [0.0, 6.0]
    # Long clips: a mean does not see how long its clip is padded.
    again = average(steps([3, 0], 4, 0, longest=50, seconds=2.0))
    torch.testing.assert_close(again.values, one.values)


@pytest.mark.parametrize("name,term", [("regression", "reg"), ("reconstruction", "rec"), ("cross_entropy", "ce")])
def test_losses_can_be_left_out_one_by_one(name, term):
    whole, without, b = make(), make(**{f"loss_{name}": False}), batch()
    assert set(whole.terms(whole.intermediates(b), b)) - set(without.terms(without.intermediates(b), b)) == {term}


def test_terms_from_their_definitions():
    method, b = make().eval(), batch()
    x = {key: value.detach().numpy() for key, value in method.intermediates(b).items()}
    terms = {key: value.item() for key, value in method.terms(method.intermediates(b), b).items()}
    w, labels = b.positive.text.numpy(), b.positive.labels.numpy()
    assert terms["reg"] == pytest.approx(((x["theta_o"] - x["theta_w"]) ** 2).mean())
    assert terms["rec"] == pytest.approx(((x["rho_o"] - w) ** 2).mean() + ((x["rho_w"] - w) ** 2).mean())
    scores = x["theta_o"] @ x["theta_classes"].T
    log_share = scores[np.arange(6), labels] - np.log(np.exp(scores).sum(1))
    assert terms["ce"] == pytest.approx(-log_share.mean())


@pytest.mark.parametrize("kind", ["cross", "self", "both"])
def test_gradients_by_differences(kind):
    method, b = make(attention=kind).train(), batch()
    loss = method.loss(b)
    loss.backward()
    rng = torch.Generator().manual_seed(3)
    for name, parameter in method.named_parameters():
        direction = torch.randn(parameter.shape, generator=rng, dtype=torch.float64)
        direction /= direction.norm()
        values = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                parameter.add_(step * direction)
                values.append(method.loss(b))
                parameter.sub_(step * direction)
        slope = float((values[0] - values[1]) / 2e-6)
        assert float((parameter.grad * direction).sum()) == pytest.approx(slope, rel=1e-3, abs=1e-6), name


def test_statistics_pass_changes_statistics_and_nothing_else():
    methods = [make("as_released", statistics_passes=on) for on in (True, False)]
    for method in methods:
        optimisers = method.optimisers(TrainingConfig())
        method.train()
        for seed in range(3):
            method.step(batch(seed), optimisers, 0)
    for (name, one), other in zip(methods[0].state_dict().items(), methods[1].state_dict().values(), strict=True):
        moves = "running" in name or "num_batches" in name
        decoders = name.startswith(("D_o", "D_w"))
        assert torch.equal(one, other) == (not moves or decoders), name


def test_only_statistics_passes_that_no_longer_count_are_left_out():
    results = []
    for everything in (True, False):
        method = make("as_released")
        optimisers = method.optimisers(TrainingConfig())
        method.train()
        for number in range(260):
            method.step(batch(number % 7), optimisers, 0 if everything else 259 - number)
        results.append({k: v for k, v in method.state_dict().items() if "num_batches" not in k})
    for key, value in results[0].items():
        np.testing.assert_allclose(value, results[1][key], rtol=1e-10, atol=1e-12, err_msg=key)


def test_no_modality_embedding_and_no_clock_have_no_weights_of_them():
    assert make(modality_embedding=False).modality is None
    assert make(training_time="none").time is None
    assert {"modality", "time.map.weight"} <= set(make().state_dict())


def test_a_wrong_option_is_one_sentence():
    with pytest.raises(ConfigError, match="attention"):
        make(attention="none")
    with pytest.raises(ConfigError, match="audio_norm"):
        make(audio_norm="max")


@pytest.mark.parametrize("preset", ["corrected", "as_released"])
@pytest.mark.parametrize("count", [0, 1])
def test_a_batch_with_no_or_one_step_of_sound_is_trained_on(preset, count):
    """One step has no variance; under `corrected` it is scaled by the running statistics, which stay as they are."""
    method = make(preset).train()
    b = batch()
    audio = steps([count, 0, 0, 0, 0, 0], DIMS.audio, 1, count)
    b = Batch(Clips(audio, b.positive.visual, b.positive.text, b.positive.labels), b.negative, b.classes)
    buffers = {name: value.clone() for name, value in method.encoders[0].named_buffers()}
    loss = method.loss(b)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())
    assert all(part.training for part in method.modules())
    if preset == "corrected":
        assert all(torch.equal(value, buffers[name]) for name, value in method.encoders[0].named_buffers())
