from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avzsl.contracts.errors import AvzslError
from avzsl.evaluation import GRID, GRIDS, Calibration, harmonic_mean


def slow(distances: np.ndarray, labels: np.ndarray, seen: np.ndarray, beta: float) -> tuple[float, float, float]:
    """S, U and ZSL from the definition: argmin over the whole calibrated matrix, recall class by class."""
    calibrated = distances.astype(np.float64) + beta * seen
    predicted = calibrated.argmin(1)
    among = np.where(seen, np.inf, distances).argmin(1)

    def mean(prediction: np.ndarray, members: np.ndarray) -> float:
        recalls = [(prediction[labels == c] == c).mean() for c in np.flatnonzero(members) if (labels == c).any()]
        return float(np.mean(recalls)) if recalls else float("nan")

    return mean(predicted, seen), mean(predicted, ~seen), mean(among, ~seen)


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    classes = draw(st.integers(2, 7))
    seen = np.asarray(draw(st.lists(st.booleans(), min_size=classes, max_size=classes)))
    seen[0], seen[-1] = draw(st.sampled_from([(True, False), (False, True)]))
    clips = draw(st.integers(1, 20))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    # Few distinct values: many ties, at beta = 0 and at grid values.
    distances = (rng.integers(0, 6, (clips, classes)) / draw(st.sampled_from([1, 2, 5]))).astype(np.float32)
    return distances, rng.integers(0, classes, clips), seen


@settings(max_examples=200, deadline=None)
@given(problems(), st.sampled_from([0.0, 0.2, 0.5, 1.0, 2.0, 3.0, -1.0, 0.7]))
def test_any_beta_agrees_with_the_definition_also_on_ties(problem, beta):
    distances, labels, seen = problem
    got = Calibration(distances, labels, seen).at(beta)
    for value, want in zip((got.seen, got.unseen, got.zsl), slow(distances, labels, seen, beta), strict=True):
        assert (value is None and np.isnan(want)) or value == pytest.approx(want, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(problems())
def test_predictions_and_the_step_functions_are_the_same_thing(problem):
    distances, labels, seen = problem
    calibration = Calibration(distances, labels, seen)
    betas = np.concatenate([GRID, calibration.breakpoints, [-5.0, 5.0]])
    s, u = calibration.curve(betas)
    for beta, want_s, want_u in zip(betas, s, u, strict=True):
        recall = calibration.recall(float(beta))
        for members, want in ((seen, want_s), (~seen, want_u)):
            values = recall[members][~np.isnan(recall[members])]
            assert np.isnan(want) == (len(values) == 0)
            assert np.isnan(want) or want == pytest.approx(values.mean(), abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(problems())
def test_the_exact_best_is_no_worse_than_any_beta(problem):
    distances, labels, seen = problem
    calibration = Calibration(distances, labels, seen)
    best = calibration.best_exact()
    tried = [
        calibration.at(float(b)).hm for b in np.concatenate([np.linspace(-6, 6, 241), GRID, calibration.breakpoints])
    ]
    if best.hm is None:
        assert all(hm is None for hm in tried)
    else:
        assert best.hm >= max(hm for hm in tried if hm is not None) - 1e-12
        assert best.hm >= calibration.best().hm - 1e-12


def test_the_first_of_equal_betas_is_taken():
    distances = np.asarray([[0.0, 1.0], [1.0, 0.0]])
    best = Calibration(distances, np.asarray([0, 1]), np.asarray([True, False])).best()
    assert best.beta == 0.0
    assert best.hm == pytest.approx(1.0)


def test_a_class_without_clips_is_left_out_and_named_never_nan():
    distances = np.asarray([[0.0, 1.0, 2.0], [1.0, 0.0, 2.0]])
    calibration = Calibration(distances, np.asarray([0, 1]), np.asarray([True, False, False]))
    scores = calibration.at(0.0)
    assert (scores.seen, scores.unseen, scores.zsl) == (1.0, 1.0, 1.0)
    assert calibration.empty.tolist() == [2]
    only_seen = Calibration(distances[:1], np.asarray([0]), np.asarray([True, False, False])).at(0.0)
    assert (only_seen.unseen, only_seen.hm, only_seen.zsl) == (None, None, None)


def test_area_under_the_curve_of_a_perfect_and_a_hopeless_model():
    seen = np.asarray([True, False])
    perfect = Calibration(np.asarray([[0.0, 9.0], [9.0, 0.0]]), np.asarray([0, 1]), seen)
    assert perfect.area() == pytest.approx(1.0)
    # Both clips switch at the same beta: never both right.
    hopeless = Calibration(np.asarray([[1.0, 1.5], [1.0, 1.5]]), np.asarray([0, 1]), seen)
    assert hopeless.area() == pytest.approx(0.5)


def test_without_clips_of_one_side_there_is_no_area():
    for label in (0, 1):
        assert Calibration(np.asarray([[0.0, 1.0]]), np.asarray([label]), np.asarray([True, False])).area() is None


def test_harmonic_mean_is_symmetric_and_zero_at_zero():
    assert harmonic_mean(0.0, 0.0) == 0.0
    assert harmonic_mean(0.3, 0.6) == harmonic_mean(0.6, 0.3) == pytest.approx(0.4)
    assert harmonic_mean(None, 0.5) is None


def test_distances_that_are_not_numbers_are_refused():
    with pytest.raises(AvzslError, match="not finite"):
        Calibration(np.asarray([[np.nan, 1.0]]), np.asarray([0]), np.asarray([True, False]))


def test_reference_evaluation(shared):
    """Every beta, every mode, and the mean-of-three rule of the published evaluation."""
    import torch
    import yaml

    from avzsl.config.load import SHIPPED
    from avzsl.config.methods import MethodConfig
    from avzsl.methods import Dims, build
    from avzsl.methods.blocks import pairwise

    with np.load(shared / "golden" / "methods" / "evaluation.npz") as stream:
        x = dict(stream)
    ids = np.sort(np.concatenate([x["seen_class_ids"], x["unseen_class_ids"]]))
    seen, labels = np.isin(ids, x["seen_class_ids"]), np.searchsorted(ids, x["targets"])
    classes = torch.from_numpy(x["t_p"])
    audio, video = (pairwise(torch.from_numpy(x[key]), classes) for key in ("a_p", "v_p"))
    config = MethodConfig.model_validate(yaml.safe_load((SHIPPED / "methods" / "cjme.yaml").read_text()))
    cjme = build("cjme", Dims(4, 4, 4), {**config.options, **config.presets["as_released"].options})
    both_cjme = cjme.select(audio, video, torch.from_numpy(x["attention_threshold"]))
    modes = {"audio": audio, "video": video, "both": audio + video, "both_cjme": both_cjme}
    calibrations = {mode: Calibration(matrix.numpy(), labels, seen) for mode, matrix in modes.items()}
    for mode, calibration in calibrations.items():
        for index, beta in enumerate(x["betas"]):
            got = calibration.at(float(beta))
            for key in ("seen", "unseen", "hm", "zsl"):
                # The reference averages in float32.
                assert getattr(got, key) == pytest.approx(float(x[f"L2Loss/{mode}/{key}"][index]), abs=1e-7), (
                    mode,
                    beta,
                    key,
                )
        best = calibration.best(x["betas"])
        for key in ("seen", "unseen", "hm", "zsl", "beta"):
            assert getattr(best, key) == pytest.approx(float(x[f"L2Loss/{mode}/best/{key}"]), abs=1e-7), (mode, key)
        among = calibration.predict_unseen() == labels
        for column, class_id in enumerate(ids):
            if not seen[column]:
                assert among[labels == column].mean() == pytest.approx(
                    x[f"L2Loss/{mode}/best/recall"][class_id], abs=1e-7
                )
    for name, mode in (("avgzslnet", "both"), ("cjme", "both_cjme")):
        beta = float(np.mean([calibrations[m].best(x["betas"]).beta for m in ("audio", "video", mode)]))
        got = calibrations[mode].at(beta)
        np.testing.assert_allclose([beta, got.seen, got.unseen, got.hm, got.zsl], x[f"combined/{name}"], atol=1e-7)


SEEN = np.asarray([True, False])


def test_the_grids_are_the_released_ones():
    assert [(len(grid), grid[0], grid[-1], grid.dtype.name) for grid in GRIDS.values()] == [
        (16, 0.0, 3.0, "float32"),
        (76, 0.0, 5.0, "float32"),
    ]
    assert GRIDS["grid"][1] == pytest.approx(0.2) and GRIDS["clipclap"][1] == pytest.approx(1 / 15)
    # Without being told otherwise the best is looked for on the first: between 2.9 and 3.0, where both are right.
    late = Calibration(np.asarray([[1.0, 4.1], [1.0, 3.9]]), np.asarray([0, 1]), SEEN)
    assert late.best().beta == pytest.approx(3.0)


@pytest.mark.parametrize("seen", [[True, True], [False, False]])
def test_one_side_alone_is_not_calibrated(seen):
    with pytest.raises(ValueError, match="at least one seen and one unseen"):
        Calibration(np.zeros((1, 2)), np.asarray([0]), np.asarray(seen))


def test_distances_of_another_shape_are_refused():
    for shape in ((2, 2), (1, 3)):
        with pytest.raises(ValueError, match="do not fit 1 clips and 2 classes"):
            Calibration(np.zeros(shape), np.asarray([0]), SEEN)


def test_distances_far_below_1_are_told_apart():
    seen = np.asarray([True, True, False, False])
    near = Calibration(np.asarray([[3e-9, 2e-9, 7e-9, 5e-9]], np.float32), np.asarray([1]), seen)
    assert (near.nearest_seen.tolist(), near.nearest_unseen.tolist()) == ([1], [3])


def test_where_nothing_can_be_gained_beta_stays_at_its_first():
    wrong = Calibration(np.asarray([[0.0, 1.0, 2.0, 3.0]]), np.asarray([1]), np.asarray([True, True, False, False]))
    assert wrong.breakpoints.tolist() == [] and wrong.best_exact().beta == 0.0
    only_seen = Calibration(np.asarray([[0.0, 1.0]]), np.asarray([0]), SEEN)
    assert only_seen.best().beta == 0.0
    # HM is 0 everywhere: the first interval is the one below the only step, at 1.
    never = Calibration(np.asarray([[0.0, 1.0], [0.0, 9.0]]), np.asarray([0, 0]), SEEN)
    assert never.best_exact().hm is None and never.best_exact().beta == pytest.approx(0.0)


def test_each_of_the_scores_may_be_missing():
    assert harmonic_mean(0.5, None) is None
    only_unseen = Calibration(np.asarray([[1.0, 0.0]]), np.asarray([1]), SEEN).at(0.0)
    assert (only_unseen.seen, only_unseen.unseen, only_unseen.hm, only_unseen.zsl) == (None, 1.0, None, 1.0)
