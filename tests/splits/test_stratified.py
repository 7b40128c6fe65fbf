"""The stratified shuffle split against the released lists and against what any split must hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
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


def test_later_versions_differ_by_two_clips_of_airplane_flyby(shared):
    """On VGGSound's class sizes: ours is the older rule, which the released lists follow."""
    sklearn = pytest.importorskip("sklearn.model_selection")
    table = pd.read_csv(shared / "data/overlap/vggsound_classes.tsv", sep="\t", keep_default_na=False)
    sizes = table.set_index("class")[["n_tr", "n_vS", "n_vU", "n_tsS"]].sum(axis=1)
    sizes["zebra braying"] += 22
    sizes["frog croaking"] += 1
    labels = np.repeat(sizes.index.to_numpy(dtype=object), sizes.to_numpy())
    assert len(labels) == 90_325
    train, test = stratified_split(labels, 0.1, 42)
    assert (len(train), len(test)) == (81_292, 9_033)
    _, later = sklearn.train_test_split(np.arange(len(labels)), test_size=0.1, stratify=labels, random_state=42)
    only_ours, only_later = set(test) - set(later), set(later) - set(test)
    assert (len(only_ours), len(only_later)) == (2, 2)
    assert {labels[index] for index in only_ours | only_later} == {"airplane flyby"}
