"""An interval covers what it says, and a comparison draws training seeds as well as clips."""

from __future__ import annotations

import numpy as np
import pytest

from avzsl.report.statistics import compare, interval


def test_an_interval_of_95_percent_leaves_two_and_a_half_on_each_side():
    assert interval(np.linspace(0, 100, 10001)) == pytest.approx((2.5, 97.5))
    wide = np.random.default_rng(0).standard_normal(200_000)
    assert interval(wide) == pytest.approx((-1.96, 1.96), abs=0.02)


def test_a_lucky_training_seed_makes_no_difference_significant():
    """Clips say nothing here: only which seeds are drawn moves the difference."""
    a = {"hm": np.tile([30.0, 10.0, 10.0], (4000, 1))}
    b = {"hm": np.tile([12.0, 12.0, 12.0], (4000, 1))}
    found = compare("a", a, "b", b, "hm")
    assert found.difference == pytest.approx(50 / 3 - 12)
    assert (found.low, found.high) == pytest.approx((-2.0, 18.0))
    assert not found.significant
    assert found.share_above_zero == pytest.approx(1 - (2 / 3) ** 3, abs=0.02)


def test_a_difference_of_every_seed_and_clip_is_significant():
    rng = np.random.default_rng(1)
    a, b = ({"hm": level + rng.standard_normal((2000, 3))} for level in (40.0, 30.0))
    found = compare("a", a, "b", b, "hm")
    assert found.significant and found.share_above_zero == 1.0
    assert not compare("b", b, "a", a, "hm").significant
    assert compare("b", b, "a", a, "hm").share_above_zero == 0.0
