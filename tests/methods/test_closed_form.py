"""Closed-form methods against the equations that define them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import linalg
from sklearn.linear_model import LogisticRegression

from avzsl.config.files import parse
from avzsl.config.load import SHIPPED
from avzsl.config.methods import MethodConfig, TrainingConfig
from avzsl.contracts.errors import ConfigError
from avzsl.methods import Clips, Dims, build

AUDIO, VISUAL, TEXT, CLASSES, CLIPS = 7, 9, 5, 6, 60


def data(seed: int = 0, classes: int = CLASSES) -> SimpleNamespace:
    rng = torch.Generator().manual_seed(seed)
    vectors = torch.nn.functional.normalize(torch.randn(classes, TEXT, generator=rng, dtype=torch.float64), dim=1)
    labels = torch.cat([torch.arange(classes), torch.randint(classes, (CLIPS - classes,), generator=rng)])
    maps = [torch.randn(TEXT, n, generator=rng, dtype=torch.float64) for n in (AUDIO, VISUAL)]
    noise = [0.3 * torch.randn(CLIPS, n, generator=rng, dtype=torch.float64) for n in (AUDIO, VISUAL)]
    audio, visual = (vectors[labels] @ m + e + 2 for m, e in zip(maps, noise, strict=True))
    whole = Clips(audio, visual, vectors[labels], labels)

    def blocks():
        for rows in torch.arange(CLIPS).split(23):
            yield Clips(audio[rows], visual[rows], whole.text[rows], labels[rows])

    return SimpleNamespace(classes=vectors, whole=whole, blocks=blocks)


def features(problem):
    """Return X (N, d) and the clips' labels, in one piece."""
    parts = list(problem.blocks())
    assert len(parts) > 1
    return np.concatenate([x for x, _ in parts]), np.concatenate([labels for _, labels in parts])


def solved(name: str, sample: SimpleNamespace, **options: object):
    config = parse(SHIPPED / "methods" / f"{name}.yaml", MethodConfig)
    method = build(config.module, Dims(AUDIO, VISUAL, TEXT), {**config.options, **options}).double()
    method.setting = 1
    method.epoch(sample, {}, TrainingConfig())
    method.eval()
    problem = method._prepared[0]
    return method, problem


@pytest.mark.parametrize("name", ["ridge", "prototype", "eszsl", "sae", "conse", "gcca"])
def test_every_setting_gives_finite_distances_and_can_be_saved(name):
    sample = data()
    config = parse(SHIPPED / "methods" / f"{name}.yaml", MethodConfig)
    method = build(config.module, Dims(AUDIO, VISUAL, TEXT), config.options).double()
    assert method.settings == np.prod([len(v) for v in config.options.values() if isinstance(v, list)])
    clips = sample.whole
    for setting in range(1, method.settings + 1):
        method.setting = setting
        method.epoch(sample, {}, TrainingConfig())
        given = method.distances(clips.audio, clips.visual, sample.classes)["both"]
        assert given.shape == (CLIPS, CLASSES)
        assert torch.isfinite(given).all()
    assert (given.argmin(1) == clips.labels).double().mean() > 0.5
    again = build(config.module, Dims(AUDIO, VISUAL, TEXT), config.options).double()
    again.load_state_dict(method.state_dict())
    torch.testing.assert_close(again.distances(clips.audio, clips.visual, sample.classes)["both"], given)


def test_ridge_sets_the_gradient_to_zero():
    method, p = solved("ridge", data(), regularisation=0.1, scaling="standard")
    x, labels = features(p)
    t = p.classes[labels]
    w = method.map.numpy()
    penalty = 0.1 * np.trace(x.T @ x) / x.shape[1]
    gradient = x.T @ (x @ w - (t - t.mean(0))) + penalty * w
    assert np.abs(gradient).max() < 1e-9 * np.abs(x.T @ t).max()
    assert np.allclose(x.mean(0), 0) and np.allclose(x.std(0), 1)


def test_what_all_class_embeddings_have_in_common_decides_nothing_in_ridge():
    sample = data()
    common = 3.0 * torch.ones(sample.classes.shape[1], dtype=sample.classes.dtype)
    found = []
    for shift in (0.0, 1.0):
        moved = SimpleNamespace(classes=sample.classes + shift * common, blocks=sample.blocks)
        method, _ = solved("ridge", moved, regularisation=0.1)
        clips = sample.whole
        found.append(method.distances(clips.audio, clips.visual, moved.classes)["both"])
    torch.testing.assert_close(*found)


def test_eszsl_is_the_brute_force_solution():
    method, p = solved("eszsl", data(), feature_penalty=0.5, class_penalty=2.0)
    x, labels = features(p)
    gamma, penalty = 0.5 * np.trace(x.T @ x) / x.shape[1], 2.0 * np.trace(p.classes.T @ p.classes) / TEXT
    y = -np.ones((CLIPS, CLASSES))
    y[np.arange(CLIPS), labels] = 1
    s = p.classes
    # The paper's objective, |X^T V S - Y|^2 + gamma |V S|^2 + lambda |X^T V|^2 + gamma lambda |V|^2, as one least squares.
    system = np.kron(x.T @ x + gamma * np.eye(16), s.T @ s + penalty * np.eye(TEXT))
    want = np.linalg.solve(system, (x.T @ y @ s).ravel()).reshape(16, TEXT)
    np.testing.assert_allclose(method.bilinear, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weight", [0.001, 1.0, 50.0])
def test_sae_solves_its_sylvester_equation(weight):
    method, p = solved("sae", data(), regularisation=weight)
    x, labels = features(p)
    w, s = method.encoder.numpy(), p.classes[labels].T
    a, b, c = s @ s.T, weight * x.T @ x, (1 + weight) * s @ x
    assert np.abs(a @ w + w @ b - c).max() < 1e-9 * np.abs(c).max()
    np.testing.assert_allclose(w, linalg.solve_sylvester(a, b, c), rtol=1e-6, atol=1e-9)


def test_gcca_is_orthonormal_and_maximal():
    method, p = solved("gcca", data(), penalty=0.1, dim=4)
    maps = method.common(method._prepared[1], 0.1, 4)
    x, labels = features(p)
    text = p.classes[labels]
    views = x[:, VISUAL:], x[:, :VISUAL], text - text.mean(0)
    # Summed over the views, X_j U_j is G times its eigenvalues.
    g = np.sum([x @ u for x, u in zip(views, maps, strict=True)], axis=0)
    g /= np.linalg.norm(g, axis=0)
    np.testing.assert_allclose(g.T @ g, np.eye(4), atol=1e-9)
    total = np.zeros((CLIPS, CLIPS))
    for x, u in zip(views, maps, strict=True):
        rho = 0.1 * np.trace(x.T @ x) / x.shape[1]
        inverse = np.linalg.inv(x.T @ x + rho * np.eye(x.shape[1]))
        np.testing.assert_allclose(u, inverse @ x.T @ g, atol=1e-9)
        total += x @ inverse @ x.T
    # G spans the leading eigenvectors of the N x N matrix itself.
    best = np.linalg.eigvalsh(total)[::-1][:4]
    np.testing.assert_allclose(np.diag(g.T @ total @ g), best, rtol=1e-9)


def test_conse_with_one_class_predicts_the_likeliest_class_and_with_all_their_mean():
    sample = data()
    clips = sample.whole
    method, _ = solved("conse", sample, inverse_penalty=1.0, top=1)
    likeliest = (method.features(clips.audio, clips.visual) @ method.weights.T + method.bias).argmax(1)
    torch.testing.assert_close(
        method.embed(clips.audio, clips.visual, sample.classes)["both"], sample.classes[likeliest]
    )
    method, _ = solved("conse", sample, inverse_penalty=1.0, top=CLASSES)
    p = (method.features(clips.audio, clips.visual) @ method.weights.T + method.bias).softmax(1)
    torch.testing.assert_close(method.embed(clips.audio, clips.visual, sample.classes)["both"], p @ sample.classes)


def test_the_classifier_of_conse_is_the_one_of_scikit_learn():
    method, p = solved("conse", data(), inverse_penalty=0.3, top=1)
    theirs = LogisticRegression(C=0.3, max_iter=2000, tol=1e-4).fit(*features(p))
    np.testing.assert_allclose(method.weights, theirs.coef_, rtol=0, atol=2e-3)
    np.testing.assert_allclose(method.bias, theirs.intercept_, rtol=0, atol=2e-3)


def test_conse_with_two_classes():
    sample = data(classes=2)
    method, _ = solved("conse", sample, inverse_penalty=1.0, top=1)
    clips = sample.whole
    right = method.distances(clips.audio, clips.visual, sample.classes)["both"].argmin(1) == clips.labels
    assert right.double().mean() > 0.9


def test_prototypes_of_seen_classes_are_their_means_and_of_others_mixtures():
    sample = data()
    method, p = solved("prototype", sample, neighbours=2)
    x, labels = features(p)
    means = np.stack([x[labels == c].mean(0) for c in range(CLASSES)])
    np.testing.assert_allclose(method.prototypes(sample.classes), means, atol=1e-12)
    between = torch.nn.functional.normalize(sample.classes[:1] + sample.classes[1:2], dim=1)
    method.count = torch.tensor(1.0)
    one = method.prototypes(between).numpy()[0]
    assert min(np.abs(one - mean).max() for mean in means) < 1e-12


def test_a_setting_that_is_no_number_is_refused():
    config = parse(SHIPPED / "methods" / "ridge.yaml", MethodConfig)
    for value in (0.0, [], ["a"], [1.0, -1.0], True):
        with pytest.raises(ConfigError, match="regularisation"):
            build("ridge", Dims(4, 4, 4), {**config.options, "regularisation": value})
