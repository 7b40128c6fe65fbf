from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from avzsl.evaluation import collect_hits, scores, table_scores
from avzsl.evaluation.hits import means_over_classes

Row = tuple[str, str, str, str | None]


def predictions(rows: list[Row]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["class_name", "subset", "predicted", "predicted_zsl"])
    return table.assign(clip_id=[f"clip {i:03d}" for i in range(len(rows))])


def test_scores_are_means_over_classes_not_clips() -> None:
    rows: list[Row] = [("a", "test_seen", "a", None)] * 3 + [("a", "test_seen", "b", None)]  # a: 75 %
    rows += [("b", "test_seen", "x", None)]  # b: 0 %
    rows += [("x", "test_unseen", "a", "x")] * 3 + [("x", "test_unseen", "x", "x")]  # x: 25 %, ZSL 100 %
    rows += [("y", "test_unseen", "y", "x")]  # y: 100 %, ZSL 0 %
    got = table_scores(predictions(rows))
    assert got == pytest.approx({"seen": 37.5, "unseen": 62.5, "hm": 2 * 37.5 * 62.5 / 100, "zsl": 50.0})


def test_a_side_without_clips_has_no_score() -> None:
    got = table_scores(predictions([("a", "test_seen", "a", None)] * 2))
    assert got == {"seen": 100.0, "unseen": None, "hm": None, "zsl": None}


def test_all_wrong_is_zero() -> None:
    got = table_scores(predictions([("a", "test_seen", "x", None), ("x", "test_unseen", "a", "y")]))
    assert got == {"seen": 0.0, "unseen": 0.0, "hm": 0.0, "zsl": 0.0}


def test_runs_on_different_clips_are_refused() -> None:
    one = predictions([("a", "test_seen", "a", None)] * 2)
    with pytest.raises(ValueError, match="different clips"):
        collect_hits([one, one.iloc[:1]])


def test_order_of_rows_does_not_matter() -> None:
    table = predictions([("a", "test_seen", "a", None), ("a", "test_seen", "b", None), ("x", "test_unseen", "x", "x")])
    hits = collect_hits([table, table.iloc[::-1]])
    assert (hits.gzsl[:, 0] == hits.gzsl[:, 1]).all()
    assert (scores(hits)["seen"] == 50.0).all()


def test_sources_are_counted_in_their_class_and_unknown_clips_stand_alone() -> None:
    table = predictions([("a", "test_seen", "a", None)] * 4 + [("x", "test_unseen", "x", "x")] * 2)
    hits = collect_hits([table], {"clip 000": "tape", "clip 001": "tape", "clip 002": "clip 003", "clip 004": "tape"})
    assert hits.names == ("a", "x")
    assert hits.sources_of_class.tolist() == [3, 2]


def test_a_side_without_classes_leaves_the_other_as_it_is():
    right = np.array([[0.25], [0.75]])
    seen = means_over_classes(right, 0 * right, np.array([False, False]))
    assert seen["seen"] == pytest.approx([50.0]) and np.isnan(seen["unseen"]).all() and np.isnan(seen["zsl"]).all()
    unseen = means_over_classes(right, right, np.array([True, True]))
    assert np.isnan(unseen["seen"]).all() and unseen["unseen"] == unseen["zsl"] == pytest.approx([50.0])


def test_a_missing_side_is_missing_in_every_draw_and_seed():
    right = np.full((4, 3, 2), 0.5)  # draws, classes, seeds
    for is_unseen, missing in ((False, {"unseen", "hm", "zsl"}), (True, {"seen", "hm"})):
        got = means_over_classes(right, right, np.full(3, is_unseen))
        for metric, values in got.items():
            assert values.shape == (4, 2), metric
            assert np.isnan(values).all() if metric in missing else (values == 50).all(), metric
