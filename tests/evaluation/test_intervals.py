"""Intervals keep what they promise: in simulated worlds whose true scores are known, 95 % of them hold these."""

from __future__ import annotations

import numpy as np
import pytest

from avzsl.evaluation import Comparison, Folds, Hits, compare, compare_folds, sample
from avzsl.evaluation.intervals import Interval, Sample

CLASSES, SOURCES = 18, 25
TRUE = np.linspace(0.2, 0.7, CLASSES)
UNSEEN = np.arange(CLASSES) % 2 == 0
WORLDS = 400
DRAWS = 100  # of the test clips of a world
RIGHT = pytest.approx(0.95, abs=0.02)


def world(
    rng: np.random.Generator,
    clips: int,
    seeds: int = 1,
    together: bool = True,
    spread: float = 0.0,
    sources: int = SOURCES,
) -> Hits:
    """Return hits of `clips` a recording; with more than one, recordings differ widely in how hard they are.

    `together`: the sources are known; else every clip counts as its own. `spread`: how much training seeds differ.
    """
    parts = []
    for rate in TRUE:
        hard = rng.beta(rate, 1 - rate, size=sources) if clips > 1 else np.full(sources, rate)
        parts.append(rng.random((sources * clips, 1)) < np.repeat(hard, clips)[:, None])
    right = np.repeat(np.concatenate(parts), seeds, axis=1).astype(float)
    for seed, shift in enumerate(rng.normal(0, spread, seeds) if spread else ()):
        turned = rng.random(len(right)) < abs(shift)
        right[turned, seed] = float(shift > 0)
    source = np.arange(len(right)) if not together else np.arange(len(right)) // clips
    classes = np.repeat(np.arange(CLASSES), sources * clips)
    return Hits(right, right, classes, tuple(map(str, range(CLASSES))), UNSEEN, source)


def truth() -> dict[str, float]:
    seen, unseen = 100 * TRUE[~UNSEEN].mean(), 100 * TRUE[UNSEEN].mean()
    return {"seen": seen, "unseen": unseen, "zsl": unseen, "hm": 2 * seen * unseen / (seen + unseen)}


def coverage(clips: int, together: bool = True, worlds: int = WORLDS) -> float:
    """Return how often S, U and HM lie in their intervals over test clips."""
    rng, found, wanted = np.random.default_rng(3), [], truth()
    for _ in range(worlds):
        made = sample(world(rng, clips, together=together), DRAWS)
        for metric in ("seen", "unseen", "hm"):
            interval = made.over_clips(metric)
            assert interval is not None
            found.append(interval.low <= wanted[metric] <= interval.high)
    return float(np.mean(found))


def test_seven_clips_a_recording_are_covered() -> None:
    assert coverage(7) == RIGHT


def test_independent_clips_are_covered() -> None:
    assert coverage(1) == RIGHT


def test_clips_drawn_one_by_one_would_not_cover() -> None:
    """What the sources are for: without them the interval promises far too much."""
    assert coverage(7, together=False, worlds=60) < 0.75


def test_seeds_and_clips_together_are_covered() -> None:
    """Three seeds whose spread is far larger than that of the clips."""
    rng, found, alone, wanted = np.random.default_rng(4), [], [], truth()["unseen"]
    for _ in range(WORLDS):
        made = sample(world(rng, 1, seeds=3, spread=0.2), DRAWS)
        total, clips = made.total("unseen"), made.over_clips("unseen")
        assert total is not None and clips is not None
        # A shift d > 0 lifts the rate p to p + d (1 - p), one d < 0 lowers it to p (1 - |d|).
        mean = 0.2 * np.sqrt(2 / np.pi) / 2
        expected = wanted + 100 * mean * (1 - 2 * wanted / 100)
        found.append(total.low <= expected <= total.high)
        alone.append(clips.low <= expected <= clips.high)
    assert np.mean(found) == RIGHT
    assert np.mean(alone) < 0.65


def test_two_methods_of_equal_worth_seldom_differ() -> None:
    """Among pairs of methods that differ by their seeds alone, one in twenty may be called different."""
    rng, marks = np.random.default_rng(5), []
    for _ in range(WORLDS):
        base = world(rng, 7, seeds=6, spread=0.1)
        a, b = (
            sample(Hits(base.gzsl[:, s], base.zsl[:, s], base.classes, base.names, UNSEEN, base.sources), DRAWS)
            for s in (slice(0, 3), slice(3, 6))
        )
        found = compare("a", a, "b", b, "unseen")
        marks.append(found.better or found.worse)
    assert 0.01 <= np.mean(marks) <= 0.08


def test_a_better_method_is_better() -> None:
    rng = np.random.default_rng(6)
    weak = world(rng, 7, seeds=3)
    lift = np.maximum(weak.gzsl, rng.random(weak.gzsl.shape) < 0.3)
    strong = Hits(lift, lift, weak.classes, weak.names, UNSEEN, weak.sources)
    a, b = sample(strong), sample(weak)
    assert compare("strong", a, "weak", b, "zsl").better
    found = compare("weak", b, "strong", a, "zsl")
    assert found.worse and not found.better
    assert found.difference == pytest.approx(
        weak.gzsl[UNSEEN[weak.classes]].mean() * 100 - lift[UNSEEN[weak.classes]].mean() * 100
    )


def test_an_interval_that_touches_zero_is_no_difference() -> None:
    for low, high in ((0.0, 2.0), (-2.0, 0.0)):
        found = Comparison("a", "b", "hm", 1.0, Interval(low, high))
        assert not found.better and not found.worse


def test_a_class_of_four_sources_has_no_interval() -> None:
    for number, enough in ((4, False), (5, True)):
        made = sample(world(np.random.default_rng(7), 7, seeds=2, spread=0.1, sources=number))
        assert made.enough("unseen") is enough
        assert (made.total("hm") is not None) is enough
        assert (
            compare("a", made, "b", sample(world(np.random.default_rng(8), 7, seeds=2, sources=number)), "hm").interval
            is not None
        ) is enough
    assert made.few["unseen"] == (0, 9)


def test_no_width_is_no_interval() -> None:
    made = world(np.random.default_rng(9), 1, seeds=3)
    right = sample(
        Hits(np.ones_like(made.gzsl), np.ones_like(made.zsl), made.classes, made.names, UNSEEN, made.sources)
    )
    assert right.over_clips("hm") is None and right.total("hm") is None
    assert compare("a", right, "b", right, "hm").interval is None


def test_one_seed_has_no_total_and_no_mark() -> None:
    a, b = (sample(world(np.random.default_rng(i), 1)) for i in (10, 11))
    assert a.over_clips("zsl") is not None
    assert a.total("zsl") is None
    assert compare("a", a, "b", b, "zsl").interval is None


def test_a_wide_spread_over_seeds_is_never_read_as_a_narrow_interval() -> None:
    """29.0 ± 23.2 over three seeds, whose clips alone would say 25 to 33."""
    scores = {"hm": np.array([6.0, 28.6, 52.4])}
    draws = {"hm": np.random.default_rng(0).normal(29.0, 2.0, 1000)}
    made = Sample(scores, draws, {"hm": (0, 9)}, {"hm": 200})
    clips, total = made.over_clips("hm"), made.total("hm")
    assert clips is not None and total is not None
    assert clips.high - clips.low < 9
    assert total.low == 0.0
    assert total.high > 80


def test_the_level_is_95_percent() -> None:
    """Against the closed form: half a width of 1.96 standard errors of a binomial over 400 independent clips."""
    right = (np.random.default_rng(1).random((400, 1)) < 0.5).astype(float)
    made = sample(Hits(right, right, np.zeros(400, int), ("x",), np.array([True]), np.arange(400)), 4000)
    interval, share = made.over_clips("zsl"), right.mean()
    assert interval is not None
    half = 196 * np.sqrt(share * (1 - share) / 400)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.05)


def test_folds_are_compared_pair_by_pair() -> None:
    rng = np.random.default_rng(12)
    classes = rng.normal(30, 10, 10)
    a, b = (Folds({"hm": classes + shift + rng.normal(0, 0.5, 10)}, 0.2) for shift in (2.0, 0.0))
    assert compare_folds("a", a, "b", b, "hm").better
    assert not compare_folds("a", a, "b", Folds({"hm": b.scores["hm"][::-1]}, 0.2), "hm").better
    # Student's t over 10 folds with the correction for shared classes.
    own = a.over_folds("hm")
    assert own is not None
    half = 2.2622 * a.scores["hm"].std(ddof=1) * np.sqrt(1 / 10 + 0.2 / 0.8)
    assert (own.high - own.low) / 2 == pytest.approx(half, rel=1e-4)
    assert Folds({"hm": np.array([3.0])}, 0.2).over_folds("hm") is None


def test_what_lies_beside_zero() -> None:
    found = {
        pair: Interval(*pair).without_zero for pair in ((0.0, 2.0), (-2.0, 0.0), (-1.0, 1.0), (0.5, 2.0), (-2.0, -0.5))
    }
    assert [pair for pair, beside in found.items() if beside] == [(0.5, 2.0), (-2.0, -0.5)]


def test_each_metric_counts_the_sources_of_its_own_classes() -> None:
    """Two seen classes of 4 and 7 sources, one unseen class of 6."""
    counts = [4, 6, 7]
    classes = np.repeat([0, 1, 2], counts)
    right = np.random.default_rng(2).integers(0, 2, (17, 2)).astype(float)
    made = sample(Hits(right, right, classes, ("a", "b", "c"), np.array([False, True, False]), np.arange(17)))
    assert made.few == {"seen": (1, 2), "unseen": (0, 1), "zsl": (0, 1), "hm": (1, 3)}
    assert made.freedom == {"seen": 9, "unseen": 5, "zsl": 5, "hm": 14}
    assert made.over_clips("unseen") is not None and made.over_clips("seen") is None


def test_no_interval_leaves_0_to_100() -> None:
    wide = np.random.default_rng(0).normal(0, 9, 500)
    for mean, low, high in ((99.0, False, True), (1.0, True, False), (50.0, False, False)):
        made = Sample({"hm": np.array([mean, mean])}, {"hm": mean + wide}, {"hm": (0, 9)}, {"hm": 50})
        for found in (made.over_clips("hm"), made.total("hm")):
            assert found is not None
            assert (found.low == 0.0, found.high == 100.0) == (low, high)
    spread = Folds({"hm": np.array([90.0, 99.0, 100.0])}, 0.2).over_folds("hm")
    assert spread is not None and spread.high == 100.0 and spread.low < 90.0
    spread = Folds({"hm": np.array([10.0, 1.0, 0.0])}, 0.2).over_folds("hm")
    assert spread is not None and spread.low == 0.0 and spread.high > 10.0
    free = compare_folds(
        "a", Folds({"hm": np.array([10.0, 1.0])}, 0.2), "b", Folds({"hm": np.array([90.0, 99.0])}, 0.2), "hm"
    )
    assert free.interval is not None and free.interval.low < -100.0, "a difference has no such bounds"


def given(scores: list[float], draws: list[float], few: int = 0, freedom: int = 200) -> Sample:
    return Sample({"hm": np.array(scores)}, {"hm": np.array(draws)}, {"hm": (few, 9)}, {"hm": freedom})


def test_a_mark_needs_two_seeds_of_both_and_sources_enough_and_draws_that_differ() -> None:
    three, one, spread = [40.0, 41.0, 43.0], [30.0], [29.0, 31.0, 30.0]
    found = {
        name: compare("a", given(*a), "b", given(*b), "hm").interval is not None
        for name, (a, b) in {
            "both": ((three, spread), (three, [0.0, 0.0, 0.0])),
            "one seed of a": ((one, spread), (three, [0.0, 0.0, 0.0])),
            "one seed of b": ((three, spread), (one, [0.0, 0.0, 0.0])),
            "few sources": ((three, spread, 1), (three, [0.0, 0.0, 0.0])),
            "one difference": ((three, spread), (three, [28.0, 30.0, 29.0])),
        }.items()
    }
    assert [name for name, there in found.items() if there] == ["both"]


def test_seeds_that_agree_leave_the_clips_alone() -> None:
    """Half a width by hand: Student's t of 200 degrees of freedom times the deviation of the draws' differences, 2."""
    a, b = given([40.0, 40.0], [28.0, 30.0, 32.0]), given([30.0, 30.0], [30.0, 30.0, 30.0])
    interval = compare("a", a, "b", b, "hm").interval
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((10 - 2 * 1.971896, 10 + 2 * 1.971896), rel=1e-6)


def test_the_spread_of_either_methods_seeds_has_its_degrees_of_freedom() -> None:
    """Welch by hand: variances 0.04 and 0.16 of the means, so 0.2^2 / (0.04^2 + 0.16^2) degrees of freedom."""
    a, b = given([40.0, 40.4], [28.0, 30.0, 32.0]), given([30.0, 30.8], [30.0, 30.0, 30.0])
    for one, other in ((a, b), (b, a)):
        interval = compare("a", one, "b", other, "hm").interval
        assert interval is not None
        half = np.sqrt((2 * 1.971896) ** 2 + 0.2 * 6.188115**2)
        assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=1e-6)


def test_two_seeds_have_one_degree_of_freedom() -> None:
    total = given([40.0, 42.0], [40.0, 41.0, 42.0]).total("hm")
    assert total is not None
    half = np.sqrt((1 * 1.971896) ** 2 + (1 * 12.706205) ** 2)  # both variances are 1
    assert (total.low, total.high) == pytest.approx((41 - half, 41 + half), rel=1e-6)


def test_no_degree_of_freedom_counts_as_one() -> None:
    found = given([40.0, 42.0], [40.0, 40.1, 40.2], freedom=0).over_clips("hm")
    assert found is not None
    assert found.high - found.low == pytest.approx(2 * 0.1 * 12.706205, rel=1e-6)


def test_one_of_two_sources_is_drawn_a_thousand_times() -> None:
    right = np.array([[1.0], [0.0], [1.0]])
    made = sample(Hits(right, right, np.array([0, 0, 1]), ("x", "y"), np.array([True, False]), np.arange(3)))
    assert len(made.draws["unseen"]) == 1000
    assert set(made.draws["unseen"]) == {0.0, 100.0}
    assert set(made.draws["seen"]) == {100.0}, "of one source the same is drawn"


def test_folds_of_which_one_has_no_score_or_all_have_one() -> None:
    for values in ([np.nan, 1.0, 2.0], [3.0, 3.0, 3.0]):
        assert Folds({"hm": np.array(values)}, 0.2).over_folds("hm") is None
    assert Folds({"hm": np.array([3.0, 5.0])}, 0.2).over_folds("hm") is not None
