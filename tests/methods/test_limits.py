"""Where a method's arithmetic has an edge: equal scores, empty directions, points on classes, limits that are met exactly."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from avzsl.config.methods import TrainingConfig
from avzsl.methods import Clips, Dims, Method, blocks, build, clipclap, tcaf, tcaf_parts
from avzsl.methods.blocks import Dropout, counting_steps, layer, triplet, triplets
from avzsl.methods.inputs import join, width
from tests.methods.test_closed_form import data, features, solved

torch.set_num_threads(1)
DIMS = Dims(12, 10, 8)


def made(module: str, **options: Any) -> Method:
    torch.manual_seed(0)
    return build(module, DIMS, options).double()


@pytest.mark.parametrize("momentum,passes,steps", [(0.1, 3, 132), (0.1, 2, 197), (0.5, 1, 60), (0.001, 3, 13809)])
def test_how_many_steps_count_in_running_statistics(momentum, passes, steps):
    assert counting_steps(momentum, passes) == steps
    share = (1 - momentum) ** (passes * np.array([steps, steps - 1]))
    assert share[0] <= 1e-18 < share[1]


def test_methods_count_the_passes_they_make():
    assert clipclap.STATISTICS_STEPS == tcaf.STATISTICS_STEPS == 197
    steps = {
        momentum: made("avca", two_bn_momenta=True, last_bn_momentum=momentum)._statistics_steps
        for momentum in (0.99, 0.1, 0.05, 1e-5)
    }
    assert steps == {0.99: 132, 0.1: 132, 0.05: counting_steps(0.05, 3), 1e-5: counting_steps(1e-3, 3)}
    assert made("avca", last_bn_momentum=0.05)._statistics_steps == 132


def test_triplets_have_the_librarys_epsilon():
    torch.manual_seed(0)
    points = torch.randn(3, 5, 4, dtype=torch.float64)
    found = triplets(points, "abc", {"x": ("a", "b", "c")}, 9.0)["x"]
    torch.testing.assert_close(found, triplet(*points, 9.0).mean(), rtol=1e-13, atol=0)


def test_two_clips_are_a_batch():
    assert layer(4, 3, 0.0)(torch.randn(4, 4), 2).shape == (4, 3)


# Which of two equal ways is taken, where one is faster or the other is all that torch.func knows.


@contextlib.contextmanager
def compiling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(torch.compiler, "is_compiling", lambda: True)
        yield


@pytest.mark.parametrize(
    "where,dtype,held_back,ours",
    [
        ("plainly", torch.float32, True, True), ("plainly", torch.float32, False, False),
        ("plainly", torch.float64, True, False), ("dropping", torch.float32, True, False),
        ("autocast", torch.float32, True, False), ("compiling", torch.float32, True, False),
        ("empty", torch.float32, True, False), ("meta", torch.float32, True, False),
    ],
)  # fmt: skip
def test_when_a_product_is_onednns(monkeypatch, where, dtype, held_back, ours):
    products: list[Any] = []

    def product(a: torch.Tensor, b: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        products.append(a.shape)
        return a @ b.T + bias

    monkeypatch.setattr(blocks, "by_onednn", product)
    monkeypatch.setattr(blocks, "mkl_is_held_back", lambda: held_back)
    one = blocks.Linear(4, 3).to(dtype)
    x = torch.randn(2, 5, 0 if where == "empty" else 4, dtype=dtype)
    if where == "empty":
        one = blocks.Linear(0, 3)
    if where == "meta":
        one, x = one.to("meta"), x.to("meta")
    place: Any = {
        "dropping": lambda: blocks.dropping(None), "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
        "compiling": lambda: compiling(monkeypatch),
    }.get(where, contextlib.nullcontext)  # fmt: skip
    with place():
        assert one(x).shape == (2, 5, 3)
    assert products == ([(10, 4)] if ours else [])


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize(
    "where,ours",
    [("training", True), ("evaluation", False), ("dropping", False), ("autocast", False), ("compiling", False)],
)
def test_when_a_layer_is_one_function(monkeypatch, where, ours, dropout):
    original, calls = blocks._Layer.apply, []
    monkeypatch.setattr(blocks, "_Layer", SimpleNamespace(apply=lambda *given: calls.append(1) or original(*given)))
    torch.manual_seed(0)
    one = layer(4, 3, dropout).train(where != "evaluation")
    place: Any = {
        "dropping": lambda: blocks.dropping(None), "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
        "compiling": lambda: compiling(monkeypatch),
    }.get(where, contextlib.nullcontext)  # fmt: skip
    before = torch.get_rng_state()
    with place():
        one(torch.ones(6, 4), 2)
    assert bool(calls) == ours
    assert torch.equal(torch.get_rng_state(), before) == (dropout == 0 or where == "evaluation")


def test_blocks_of_rows_are_batches_of_their_own_in_either_way():
    torch.manual_seed(0)
    one, x = layer(4, 3, 0.0).double(), torch.randn(9, 4, dtype=torch.float64)
    for parts in (1, 2, 3):
        whole = one(x, parts)
        with blocks.dropping(None):
            torch.testing.assert_close(one(x, parts), whole)


def test_dropout_that_is_off_draws_nothing_and_asks_for_nothing():
    x = torch.ones(8)
    for off in (Dropout(0.0), Dropout(0.5).eval()):
        before = torch.get_rng_state()
        with blocks.dropouts_of() as asked:
            off(x)
        with blocks.dropping([]):
            assert torch.equal(off(x), x)
        assert torch.equal(off(x), x)
        assert not asked and torch.equal(torch.get_rng_state(), before)
    on = Dropout(0.5)
    with blocks.dropouts_of() as asked:
        assert torch.equal(on(x), x)
    assert asked == [(on, x.shape, x.dtype)]
    with blocks.dropping([3 * x]):
        assert torch.equal(on(2 * x), 6 * x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dropout_multiplies_with_its_mask(dtype):
    one, x = Dropout(0.2), torch.full((50, 7), 2.0, dtype=dtype)
    torch.manual_seed(3)
    dropped = one(x)
    torch.manual_seed(3)
    mask = one.mask(x.shape, dtype)
    assert mask.dtype == dropped.dtype == dtype and torch.equal(dropped, x * mask)
    assert float(mask.max()) == float(torch.tensor(2**16 / round(0.8 * 2**16), dtype=dtype))
    own = torch.Generator().manual_seed(3)
    assert torch.equal(one.mask(x.shape, dtype, own), mask), "of a generator of its own"


def test_the_rarest_value_that_is_kept_is_scaled_most():
    torch.manual_seed(0)
    assert float(Dropout(1 - 2**-16)(torch.ones(2**20)).max()) == 2**16


def test_running_statistics_stand_in_for_norms_in_training_alone():
    one = torch.nn.Sequential(*tcaf_parts.two_layers(3, 4, 5, 0.5))
    with tcaf_parts.running_statistics(one):
        assert {type(m).__name__ for m in one.modules() if not m.training} == {"BatchNorm1d"}
    assert all(m.training for m in one.modules())
    with tcaf_parts.running_statistics(one.eval()):
        pass
    assert not any(m.training for m in one.modules())


def test_time_turns_ten_times_a_second_or_so():
    torch.manual_seed(0)
    found = tcaf_parts.TimeCode().frequencies
    torch.manual_seed(0)
    assert torch.equal(found, 10 * torch.randn(2, 32))


@pytest.mark.parametrize("which,columns", [("both", [9, 9, 1, 1]), ("audio", [1, 1]), ("visual", [9, 9])])
def test_joined_features_have_the_picture_first(which, columns):
    audio, visual = torch.ones(3, 2), 9 * torch.ones(3, 2)
    assert join(audio, visual, which).tolist() == [columns] * 3
    assert width(Dims(2, 2, 1), which) == len(columns)
    torch.testing.assert_close(join(audio, visual, which, unit=True).norm(dim=1), torch.ones(3))


# CJME


def test_cjme_is_undecided_where_entropies_differ_by_its_threshold_exactly():
    method = made("cjme", entropy_threshold=0.25)
    audio = torch.tensor([1.0, 1.0, 1.0, 1.25, 1.5])
    visual = torch.tensor([1.0, 1.25, 1.5, 1.0, 1.0])
    assert method._supervision(audio, visual).tolist() == [0.5, 0.5, 0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    "options,wanted",
    [({"selection": "hard"}, [1, 1, 3, 3, 3]), ({"selection_threshold": 0.75}, [1, 1, 2, 3, 3])],
    ids=["hard", "threshold"],
)
def test_cjme_selects_at_its_threshold_exactly(options, wanted):
    alpha = torch.tensor([[0.1], [0.25], [0.5], [0.75], [0.9]], dtype=torch.float64)
    by_audio, by_visual = torch.full((5, 2), 1.0, dtype=torch.float64), torch.full((5, 2), 3.0, dtype=torch.float64)
    assert made("cjme", **options).select(by_audio, by_visual, alpha)[:, 0].tolist() == wanted


def test_cjme_attention_that_is_sure_and_wrong_costs_a_bounded_loss():
    x = {"alpha": torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)}
    x["supervision"] = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    x |= {key: torch.zeros(3, 4, dtype=torch.float64) for key in ("a_p", "v_p", "t_p", "a_q", "v_q")}
    got = made("cjme").terms(x)["attention"].item()
    assert got == pytest.approx(-(2 * np.log(1e-7) + np.log(1 - 1e-7)) / 3, rel=1e-9)


def test_cjme_entropy_of_a_point_on_a_class_is_that_of_a_distance_of_1e_12():
    classes = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    got = made("cjme")._entropy(classes[:1], classes).item()
    p = np.asarray([1e12, 1.0]) / (1e12 + 1)
    assert got == pytest.approx(-(p * np.log(p)).sum(), rel=1e-4)


# In closed form


def changed(sample: SimpleNamespace, classes: torch.Tensor | None = None, **features: torch.Tensor) -> SimpleNamespace:
    """Return the training clips of a sample with other features or class embeddings."""
    clips, known = sample.whole, sample.classes if classes is None else classes
    whole = replace(clips, text=known[clips.labels], **features)

    def blocks() -> Iterator[Clips]:
        for rows in torch.arange(len(clips.labels)).split(23):
            yield Clips(whole.audio[rows], whole.visual[rows], whole.text[rows], whole.labels[rows])

    return SimpleNamespace(classes=known, whole=whole, blocks=blocks)


def test_a_feature_that_never_varies_is_left_as_it_is():
    sample = data()
    audio = sample.whole.audio.clone()
    audio[:, 2] = 5.0
    method, problem = solved("ridge", changed(sample, audio=audio), regularisation=0.1, scaling="standard")
    assert method.audio_scale[2] == 1 and (features(problem)[0][:, 9 + 2] == 0).all()
    torch.testing.assert_close(method.audio_scale[0], audio[:, 0].std(correction=0))


@pytest.mark.parametrize("scaling", ["standard", "unit", "none"])
def test_how_features_are_scaled(scaling):
    sample = data()
    _, problem = solved("ridge", sample, regularisation=0.1, scaling=scaling)
    parts = (sample.whole.visual, sample.whole.audio)
    want = {
        "standard": [(p - p.mean(0)) / p.std(0, correction=0) for p in parts],
        "unit": [p / p.norm(dim=1, keepdim=True) for p in parts],
        "none": list(parts),
    }[scaling]
    x, labels = torch.cat(want, 1).numpy(), sample.whole.labels.numpy()
    np.testing.assert_allclose(features(problem)[0], x, rtol=1e-9, atol=1e-12)
    text = sample.classes.numpy()[labels]
    for ours, theirs in (
        (problem.gram, x.T @ x), (problem.counts, np.bincount(labels)), (problem.mean, text.mean(0)),
        (problem.sums, np.stack([x[labels == c].sum(0) for c in range(6)])), (problem.cross, x.T @ text),
        (problem.centred_cross, x.T @ (text - text.mean(0))),
    ):  # fmt: skip
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_sae_takes_the_solution_of_least_norm_where_nothing_varies():
    """A constant feature and a column that no class embedding has: against least squares of the whole equation."""
    sample = data()
    audio, classes = sample.whole.audio.clone(), sample.classes.clone()
    audio[:, 2], classes[:, -1] = 5.0, 0.0
    method, p = solved("sae", changed(sample, classes, audio=audio), regularisation=0.5)
    x, labels = features(p)
    s = p.classes[labels].T
    a, b, c = s @ s.T, 0.5 * x.T @ x, 1.5 * s @ x
    system = np.kron(a, np.eye(len(b))) + np.kron(np.eye(len(a)), b)
    want = np.linalg.lstsq(system, c.ravel(), rcond=1e-10)[0].reshape(c.shape)
    np.testing.assert_allclose(method.encoder, want, atol=1e-9)


@pytest.mark.parametrize("module,space", [("avca", 64), ("tcaf", 64), ("clipclap", 64), ("avgzslnet", 64)])
def test_width_of_the_common_space(module, space):
    method = made(module)
    last = method.f_t[-1] if module == "avgzslnet" else method.W_proj[0]
    assert last.out_features == space


def test_conse_of_two_classes_has_the_probabilities_of_its_classifier():
    sample = data(classes=2)
    method, p = solved("conse", sample, inverse_penalty=0.05, top=2)
    likely = (method.features(sample.whole.audio, sample.whole.visual) @ method.weights.T + method.bias).softmax(1)
    x, labels = features(p)
    # Both classes have weights of their own here, whose penalties together are half of that of their difference.
    want = LogisticRegression(C=0.1, max_iter=2000).fit(x, labels).predict_proba(x)
    np.testing.assert_allclose(likely, want, rtol=0, atol=2e-3)


def test_a_neighbour_that_points_away_has_next_to_no_weight():
    sample = data()
    method, p = solved("prototype", sample, neighbours=2)
    known = torch.zeros_like(method.known)
    known[:, 0], known[0], known[1] = -1.0, torch.eye(5)[0], torch.tensor([-0.5, 0.5, 0.0, 0.0, 0.0])
    method.known = known
    got = method.prototypes(torch.tensor([[0.6, 0.8, 0.0, 0.0, 0.0]], dtype=torch.float64))
    # Cosines 0.6 and 0.1 sqrt(2); of the opposite 0.6 is below 0, and counts 1e-6 beside any that is not.
    weights = np.asarray([0.6, 0.1 * np.sqrt(2)])
    np.testing.assert_allclose(got[0], weights @ method.means[:2].numpy() / weights.sum(), rtol=1e-9)
    got = method.prototypes(torch.tensor([[0.6, -0.8, 0.0, 0.0, 0.0]], dtype=torch.float64))
    similarity = torch.nn.functional.normalize(known, dim=1) @ torch.tensor(
        [0.6, -0.8, 0.0, 0.0, 0.0], dtype=torch.float64
    )
    at = similarity.topk(2).indices
    assert similarity[at[1]] < 0
    np.testing.assert_allclose(
        got[0], (0.6 * method.means[at[0]] + 1e-6 * method.means[at[1]]) / (0.6 + 1e-6), rtol=1e-12
    )
    assert len(p.classes) == len(method.means)


def test_more_neighbours_or_labels_than_there_are_is_all_of_them():
    sample = data()
    clips = sample.whole
    for name, option in (("prototype", "neighbours"), ("conse", "top")):
        found = []
        for count in (6, 50):
            method, _ = solved(name, sample, **{option: count})
            found.append(method.distances(clips.audio, clips.visual, sample.classes + 0.1)["both"])
        torch.testing.assert_close(*found)


def test_a_method_says_what_it_solves_and_how_often():
    assert made("ridge").settings == len(made("ridge").grid) > 1
    assert made("cjme").settings is None and made("cjme").setting == 1
    assert TrainingConfig().search_trials == 0
