from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from avzsl.report.statistics import collect_hits, compare, interval, resample, scores


def predictions(rows: list[tuple[str, str, str, str | None]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["class_name", "subset", "predicted", "predicted_zsl"])
    return table.assign(clip_id=[f"clip {i:03d}" for i in range(len(rows))])


def test_scores_are_means_over_classes_not_clips() -> None:
    table = predictions(
        [("a", "test_seen", "a", None)] * 3 + [("a", "test_seen", "b", None)]  # a: 75 %
        + [("b", "test_seen", "x", None)]  # b: 0 %
        + [("x", "test_unseen", "a", "x")] * 3 + [("x", "test_unseen", "x", "x")]  # x: 25 %, ZSL 100 %
        + [("y", "test_unseen", "y", "x")]  # y: 100 %, ZSL 0 %
    )  # fmt: skip
    got = scores(collect_hits([table]))
    assert got["seen"][0] == pytest.approx(37.5)
    assert got["unseen"][0] == pytest.approx(62.5)
    assert got["hm"][0] == pytest.approx(2 * 37.5 * 62.5 / 100)
    assert got["zsl"][0] == pytest.approx(50.0)


def test_runs_on_different_clips_are_refused() -> None:
    one = predictions([("a", "test_seen", "a", None)] * 2)
    with pytest.raises(ValueError, match="different clips"):
        collect_hits([one, one.iloc[:1]])


def test_order_of_rows_does_not_matter() -> None:
    table = predictions([("a", "test_seen", "a", None), ("a", "test_seen", "b", None), ("x", "test_unseen", "x", "x")])
    hits = collect_hits([table, table.iloc[::-1]])
    assert (hits.gzsl[:, 0] == hits.gzsl[:, 1]).all()


def test_bootstrap_interval_has_the_width_of_a_binomial() -> None:
    rng = np.random.default_rng(1)
    right = rng.random(400) < 0.5
    table = predictions([("x", "test_unseen", "x", "x" if r else "y") for r in right] + [("a", "test_seen", "a", None)])
    low, high = interval(resample(collect_hits([table]), 2000)["zsl"])
    share = right.mean()
    half = 196 * np.sqrt(share * (1 - share) / 400)
    assert low == pytest.approx(100 * share - half, abs=1.0)
    assert high == pytest.approx(100 * share + half, abs=1.0)


def test_equal_methods_do_not_differ_and_better_ones_do() -> None:
    rng = np.random.default_rng(2)

    def runs(chance: float) -> list[pd.DataFrame]:
        rows = []
        for i in range(240):
            name = f"x{i % 4}"
            predicted = name if rng.random() < chance else "x9"
            rows.append((name, "test_unseen", predicted, predicted))
        return [predictions([*rows, ("a", "test_seen", "a", None)])] * 3

    weak, strong = (resample(collect_hits(runs(c))) for c in (0.4, 0.7))
    assert compare("strong", strong, "weak", weak, "zsl").significant
    assert not compare("weak", weak, "strong", strong, "zsl").significant
    assert not compare("weak", weak, "itself", weak, "zsl").significant
