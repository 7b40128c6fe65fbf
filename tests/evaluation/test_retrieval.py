from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from avzsl.evaluation import retrieval
from avzsl.evaluation.retrieval import HostRanking, average_precision, retrieve


def test_average_precision_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    distances, relevant = rng.random((20, 50)), rng.random((20, 50)) < 0.2
    want = [average_precision_score(r, -d) for r, d in zip(relevant, distances, strict=True)]
    np.testing.assert_allclose(average_precision(distances, relevant), want)


@pytest.mark.parametrize("levels", [3, 40, 400])
def test_ties_are_ranked_by_position_few_or_many(levels):
    rng = np.random.default_rng(levels)
    distances, relevant = rng.integers(0, levels, (20, 200)) / 7, rng.random((20, 200)) < 0.1
    order = np.argsort(distances, axis=1, kind="stable")
    hits = np.take_along_axis(relevant, order, axis=1)
    want = (np.cumsum(hits, 1) / np.arange(1, 201) * hits).sum(1) / hits.sum(1)
    np.testing.assert_allclose(average_precision(distances, relevant), want)


@pytest.mark.parametrize(
    ("scale", "shift", "step"),
    [(1, 0, 0), (1e-30, 0, 0), (1e30, 0, 0), (1e-44, 0, 0), (1, 1e6, 0), (200, 1000, 1), (9000, 0, 1), (0, 1, 0)],
)
@pytest.mark.parametrize("unreachable", [0, 1, 300])
def test_items_that_are_only_counted_are_all_counted(scale, shift, step, unreachable):
    """Thousands of items and a few relevant ones, of any size and distribution, some infinitely far."""
    rng = np.random.default_rng(0)
    with np.errstate(under="ignore"):
        distances = (np.abs(rng.standard_normal((4, 3000))) * scale + shift).astype(np.float32)
    distances = np.round(distances) if step else distances
    distances[:, :unreachable] = np.inf
    relevant = rng.random((4, 3000)) < np.asarray([[0.001], [0.01], [0.05], [0.6]])
    hits = np.take_along_axis(relevant, np.argsort(distances, axis=1, kind="stable"), axis=1)
    want = (np.cumsum(hits, 1) / np.arange(1, 3001) * hits).sum(1) / hits.sum(1)
    np.testing.assert_allclose(average_precision(distances, relevant), want, rtol=1e-12)


def test_retrieval_by_hand_leave_one_out_and_class_averaged():
    # Two classes on a line. Class 0 (seen): clips at 0 and 1; class 1 (unseen): clips at 2, 10, 11.
    x = np.asarray([[0.0], [1.0], [2.0], [10.0], [11.0]])
    labels, seen = np.asarray([0, 0, 1, 1, 1]), np.asarray([True, False])
    got = retrieve({"audio": x, "visual": x, "classes": np.asarray([[0.2], [10.4]])}, labels, seen)
    # Query at 0 finds 1 first: AP 1. Query at 1: 0 and 2 are tied, 0 comes first: AP 1.
    assert got["audio_visual"]["seen"] == pytest.approx(100.0)
    # At 2: order 1, 0, 10, 11 -> (1/3 + 2/4) / 2. At 10: 11, 2 -> 1. At 11: 10, 2 -> 1.
    assert got["audio_visual"]["unseen"] == pytest.approx(100 * np.mean([(1 / 3 + 2 / 4) / 2, 1, 1]))
    assert got["text_audio"] == {
        "seen": pytest.approx(100.0),
        "unseen": pytest.approx(100.0),
        "hm": pytest.approx(100.0),
    }
    assert got["visual_audio"] == got["audio_visual"]


def test_a_class_with_one_clip_has_no_cross_modal_score():
    x = np.asarray([[0.0], [1.0], [2.0]])
    got = retrieve(
        {"audio": x, "visual": x, "classes": np.asarray([[0.0], [2.0]])},
        np.asarray([0, 0, 1]),
        np.asarray([True, False]),
    )
    assert got["audio_visual"]["unseen"] is None
    assert got["audio_visual"]["hm"] is None
    assert got["text_visual"]["unseen"] == pytest.approx(100.0)


def test_many_queries_are_chunked_without_a_seam():
    rng = np.random.default_rng(1)
    x, labels = rng.standard_normal((600, 4)), rng.integers(0, 5, 600)
    got = retrieve({"audio": x, "visual": x + 0.1, "classes": rng.standard_normal((5, 4))}, labels, np.arange(5) < 3)
    distances = np.linalg.norm(x[:, None] - (x + 0.1)[None], axis=2)
    scores = []
    for i in range(600):
        rest = np.arange(600) != i
        scores.append(average_precision_score(labels[rest] == labels[i], -distances[i, rest]))
    by_class = [np.mean(np.asarray(scores)[labels == c]) for c in range(5)]
    assert got["audio_visual"]["seen"] == pytest.approx(100 * np.mean(by_class[:3]))


def test_the_methods_own_distances_rank_clips_for_a_phrase():
    labels, seen = np.asarray([0, 0, 1, 1]), np.asarray([True, False])
    distances = np.asarray([[0.1, 9.0], [0.2, 9.0], [0.3, 1.0], [0.15, 2.0]])
    got = retrieve({}, labels, seen, distances)
    # Class 0's clips come first and third of 0.1, 0.15, 0.2, 0.3; class 1's come first and second.
    assert got == {
        "text_selected": {
            "seen": pytest.approx(100 * (1 + 2 / 3) / 2),
            "unseen": 100.0,
            "hm": pytest.approx(2 * 100 * 83.3333333333 / 183.3333333333),
        }
    }


def world(ties: bool = False) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Points, labels, seen and distances of 30 clips of 5 classes."""
    rng = np.random.default_rng(4)
    points = {name: rng.standard_normal((n, 3)) for name, n in (("audio", 30), ("visual", 30), ("classes", 5))}
    if ties:
        points = {name: np.round(value) for name, value in points.items()}
    return points, rng.permutation(np.arange(30) % 5), np.arange(5) < 3, rng.random((30, 5))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("block", [1, 90, 270])
def test_blocks_of_queries_have_no_seam(monkeypatch, block, ties):
    points, labels, seen, distances = world(ties)
    whole = retrieve(points, labels, seen, distances)
    monkeypatch.setattr(retrieval, "BLOCK", block)
    assert retrieve(points, labels, seen, distances) == whole


def test_each_direction_by_its_definition():
    """Every query against sorted distances, nothing shared with the code: 0.9 is near for one scale, far for another."""
    points, labels, seen, distances = world()
    between = {
        (q, g): np.linalg.norm(points[q][:, None] - points[g][None], axis=2)
        for q in points
        for g in ("audio", "visual")
    }
    texts = np.arange(5)
    by = {
        "audio_visual": (between["audio", "visual"], labels, True),
        "visual_audio": (between["visual", "audio"], labels, True),
        "text_audio": (between["classes", "audio"], texts, False),
        "text_visual": (between["classes", "visual"], texts, False),
        "text_both": (between["classes", "audio"] + between["classes", "visual"], texts, False),
        "text_selected": (distances.T, texts, False),
    }
    want = {}
    for name, (matrix, owners, leave_out) in by.items():
        found: dict[int, list[float]] = {int(label): [] for label in texts}
        for query, owner in enumerate(owners):
            order = [i for i in np.argsort(matrix[query]) if not (leave_out and i == query)]
            hits = np.flatnonzero(labels[order] == owner)
            found[int(owner)].append(float(np.mean(np.arange(1, len(hits) + 1) / (hits + 1))))
        mean = 100 * np.asarray([np.mean(own) for own in found.values()])
        s, u = mean[seen].mean(), mean[~seen].mean()
        want[name] = {"seen": pytest.approx(s), "unseen": pytest.approx(u), "hm": pytest.approx(2 * s * u / (s + u))}
    assert retrieve(points, labels, seen, distances) == want
    small = {name: 1e-3 * value for name, value in points.items()}
    assert retrieve(small, labels, seen, distances) == want, "only the order counts, not the scale of the space"


@pytest.mark.parametrize("modality", ["audio", "visual", "both"])
def test_one_modality_is_found_by_text_alone(modality):
    points, labels, seen, _ = world()
    assert set(retrieve({modality: points["audio"], "classes": points["classes"]}, labels, seen)) == {
        f"text_{modality}"
    }


def test_a_query_of_which_the_gallery_has_nothing_has_no_precision():
    x = np.asarray([[0.0], [1.0]])
    found = HostRanking().among([x], [x], np.asarray([3, 0]), np.asarray([0, 1]), False)
    assert np.isnan(found[0]) and found[1] == 0.5


def test_many_items_behind_many_ties():
    """More relevant items are tied than are looked at one by one, and none of them comes first."""
    distances = np.asarray([[1.0] * 40 + [0.0]])
    relevant = np.asarray([[i % 2 == 1 for i in range(40)] + [False]])
    ranks = 2 + np.arange(1, 40, 2)
    assert average_precision(distances, relevant)[0] == pytest.approx(np.mean(np.arange(1, 21) / ranks))
