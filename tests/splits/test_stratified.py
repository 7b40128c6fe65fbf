"""The stratified shuffle split against the published lists and against what any split must hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from splits.stratified import stratified_split


@given(st.lists(st.sampled_from("abcde"), min_size=0, max_size=80), st.floats(0.05, 0.6), st.integers(0, 99))
def test_train_and_test_partition_and_every_class_stays_in_train(labels, share, seed):
    train, test = stratified_split(labels, share, seed)
    assert sorted([*train, *test]) == list(range(len(labels)))
    assert {labels[i] for i in test} <= {labels[i] for i in train}


def test_every_class_keeps_its_share_to_one_clip():
    labels = np.repeat(list("abcdefgh"), [10, 23, 57, 101, 7, 38, 64, 90])
    _, test = stratified_split(labels, 0.1, 42)
    assert len(test) == 39
    for name in np.unique(labels):
        assert abs((labels[test] == name).sum() - 0.1 * (labels == name).sum()) < 1


def test_it_is_scikit_learns_where_both_agree():
    sklearn = pytest.importorskip("sklearn.model_selection")
    labels = np.repeat(list("zyxwv"), [11, 30, 24, 50, 13])
    ours = stratified_split(labels, 0.1, 7)
    theirs = sklearn.train_test_split(np.arange(len(labels)), test_size=0.1, stratify=labels, random_state=7)
    for own, other in zip(ours, theirs, strict=True):
        assert list(own) == list(other)
