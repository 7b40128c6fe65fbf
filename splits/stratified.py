"""The stratified shuffle split of scikit-learn 0.24.2, written out.

The released lists came from `train_test_split(..., stratify=label, random_state=42)` of that version. Later
versions compute the class shares in another order of operations, which exchanges two clips of VGGSound's airplane
flyby, so the result of an installed scikit-learn would depend on its version. numpy's legacy generator has a
frozen stream.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def stratified_split(labels: Sequence[str] | np.ndarray, test_share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split the indices of `labels` into train and test so that every class keeps its share.

    Returns two int64 arrays, each in the shuffled order that scikit-learn returns (the next split of the
    published recipe depends on that order). The test gets ceil(test_share * n) clips.

    scikit-learn refuses classes of one clip and tests smaller than the number of classes. Here a class of one
    clip is always train, no class loses all its train clips, and a small test simply misses some classes.
    """
    codes, names = pd.factorize(np.asarray(labels, dtype=object), sort=True)
    sizes = np.bincount(codes, minlength=len(names))
    members = np.split(np.argsort(codes, kind="stable"), np.cumsum(sizes)[:-1])
    single = [indices for indices in members if len(indices) == 1]
    members = [indices for indices in members if len(indices) > 1]
    counts = np.array([len(indices) for indices in members], dtype=np.int64)
    total = int(counts.sum())
    if total == 0:
        return np.arange(len(codes)), np.empty(0, dtype=np.int64)
    n_train = total - ceil_share(test_share, total)

    rng = np.random.RandomState(seed)
    # The rest is test. scikit-learn allocates it a second time: with the formula of 0.24.2 that gives exactly what is left
    # and draws nothing; from 1.0 on rounding falls short, the generator is asked once more, and the first classes differ.
    # Where the share is so large that a class would have no train clip, it keeps one.
    in_train = np.maximum(_allocate(counts, n_train, rng), 1)
    train: list[np.ndarray] = []
    test: list[np.ndarray] = []
    for indices, head in zip(members, in_train, strict=True):
        shuffled = indices[rng.permutation(len(indices))]
        train.append(shuffled[:head])
        test.append(shuffled[head:])
    empty = [np.empty(0, dtype=np.int64)]
    return (
        np.concatenate([rng.permutation(np.concatenate(empty + train)), *single]),
        rng.permutation(np.concatenate(empty + test)),
    )


def ceil_share(share: float, total: int) -> int:
    """Return ceil(share * total) as scikit-learn computes it: in double precision."""
    return int(np.ceil(share * total))


def _allocate(counts: np.ndarray, draws: int, rng: np.random.RandomState) -> np.ndarray:
    """Share `draws` among classes in proportion to `counts`: largest remainder, ties drawn at random."""
    exact = draws * counts / counts.sum()  # version 0.24.2; from 1.0 on: counts / counts.sum() * draws
    shares = np.floor(exact)
    missing = int(draws - shares.sum())
    remainders = exact - shares
    for value in np.sort(np.unique(remainders))[::-1]:
        if missing <= 0:
            break
        (tied,) = np.where(remainders == value)
        chosen = rng.choice(tied, size=min(len(tied), missing), replace=False)
        shares[chosen] += 1
        missing -= len(chosen)
    return shares.astype(np.int64)
