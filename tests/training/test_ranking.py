"""Retrieval ranked on a device against the ranking of the host; here the device is the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avzsl.evaluation.retrieval import average_precision, retrieve
from avzsl.training import run as runs
from avzsl.training.ranking import DeviceRanking

CPU = torch.device("cpu")


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("block", [1, 1000, 1 << 20])
def test_every_direction(ties: bool, block: int) -> None:
    rng = np.random.default_rng(3)
    points = {
        name: rng.standard_normal((n, 5)).astype(np.float32)
        for name, n in (("audio", 90), ("visual", 90), ("classes", 7))
    }
    if ties:  # exact in both ways of computing a distance
        points = {name: np.round(value) for name, value in points.items()}
    labels = np.sort(rng.integers(0, 6, 90))
    labels[-1] = 6  # one clip: nothing is left to find
    seen = np.arange(7) < 4
    distances = rng.integers(0, 5, (90, 7)).astype(np.float32) if ties else rng.random((90, 7)).astype(np.float32)
    host = retrieve(points, labels, seen, distances)
    device = retrieve(points, labels, seen, distances, DeviceRanking(CPU, block))
    assert set(host) == set(device) and len(host) == 6
    for name, scores in host.items():
        assert device[name] == pytest.approx(scores, rel=1e-12), name


def test_by_distances() -> None:
    distances = np.array([[0.1, 0.1, 0.5, np.inf], [3, 2, 1, 0]], np.float32)
    relevant = np.array([[False, True, True, False], [False] * 4])
    found = DeviceRanking(CPU).by(distances, relevant)
    assert found[0] == average_precision(distances, relevant)[0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert np.isnan(found[1])


def test_a_run_on_a_gpu_ranks_there() -> None:
    assert isinstance(runs._ranking(torch.device("cuda", 0)), DeviceRanking)
    assert not isinstance(runs._ranking(CPU), DeviceRanking)
