"""Splits samples at random and keeps groups together."""

from collections import Counter

import numpy as np

from keras_segattn.arguments import check_at_least


def split_indices(dataset, shares, seed=0, group_by=None):
    """Returns a list of sorted index arrays, one per part; see `SegmentationDataset`."""
    shares = np.asarray(shares, dtype=float)
    if not len(shares) or not (shares > 0).all() or not np.isclose(shares.sum(), 1):
        raise ValueError(
            "The shares of a split must be positive and their sum 1, such as "
            f"`data.split(0.7, 0.15, 0.15)`. Received: {shares.tolist()}"
        )
    return _divide(dataset, shares, seed, group_by)


def fold_indices(dataset, folds, seed=0, group_by=None):
    """Returns a list of sorted index arrays, one per fold; see `SegmentationDataset`."""
    check_at_least("folds", folds, 2)
    return _divide(dataset, np.full(folds, 1 / folds), seed, group_by)


def _divide(dataset, shares, seed, group_by):
    groups = _groups(dataset, group_by)
    sizes = Counter(groups)
    names = list(sizes)
    np.random.default_rng(seed).shuffle(names)
    # Large groups first, each to the part that lacks most; small groups fill the gaps.
    names.sort(key=sizes.__getitem__, reverse=True)
    lacking = shares * len(groups)
    part_of = {}
    for name in names:
        part_of[name] = int(np.argmax(lacking))
        lacking[part_of[name]] -= sizes[name]
    parts = np.array([part_of[group] for group in groups])
    found = [np.flatnonzero(parts == part) for part in range(len(shares))]
    if not all(map(len, found)):
        number = "" if group_by is None else f" The number of groups is {len(sizes)}."
        raise ValueError(
            f"With {dataset!r}, a part of {np.round(shares, 4).tolist()} would have no samples."
            f"{number} Choose fewer or larger parts, or a `group_by` that gives more groups."
        )
    return found


def _groups(dataset, group_by):
    """Returns the group of each sample."""
    if group_by is None:
        return list(range(len(dataset)))
    if callable(group_by):
        return [group_by(dataset.name(index)) for index in range(len(dataset))]
    groups = list(group_by)
    if isinstance(group_by, str) or len(groups) != len(dataset):
        raise ValueError(
            "`group_by` must be a function from the name of a sample to its group, or a sequence "
            f"of one group for each sample of {dataset!r}. Received: {group_by!r}"
        )
    return groups
