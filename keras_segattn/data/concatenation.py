"""Several data sets combined into one."""

import numpy as np

from keras_segattn.data.dataset import SegmentationDataset


class Concatenation(SegmentationDataset):
    """The samples of several data sets, one after another; the result of `data_a + data_b`.

    Args:
        datasets: Sequence of `SegmentationDataset` with the same classes, colors, channels and void
            label.

    Raises:
        ValueError: If they differ in one of these; the message names both values.

    Example:

    >>> train, val = (keras_segattn.data.RoadScenes(split, count=3) for split in ("train", "val"))
    >>> len(train + val), (train + val).name(3)
    (6, 'val_00000')
    """

    def __init__(self, datasets):
        # Nested sums are flattened.
        self._datasets = [
            part
            for dataset in datasets
            for part in (dataset._datasets if isinstance(dataset, Concatenation) else [dataset])
        ]
        first = self._datasets[0]
        for other in self._datasets[1:]:
            for attribute in first.description:
                ours, theirs = _plain(getattr(first, attribute)), _plain(getattr(other, attribute))
                if ours != theirs:
                    raise ValueError(
                        f"Data sets to be joined must have the same `{attribute}`: {first!r} has "
                        f"{ours}, but {other!r} has {theirs}. Make them equal, with `label_map` "
                        "of SegmentationFolder for example."
                    )
        self._copy_description(first)
        labels = {_plain(dataset.submission_labels) for dataset in self._datasets}
        self.submission_labels = first.submission_labels if len(labels) == 1 else None
        if any(dataset.sample_weights is not None for dataset in datasets):
            self.sample_weights = np.concatenate(
                [
                    np.ones(len(dataset))
                    if dataset.sample_weights is None
                    else dataset.sample_weights
                    for dataset in datasets
                ]
            ).tolist()
        self._ends = np.cumsum([len(dataset) for dataset in self._datasets])

    def __len__(self):
        return int(self._ends[-1])

    @property
    def has_masks(self):
        return any(dataset.has_masks for dataset in self._datasets)

    def has_mask(self, index):
        dataset, index = self._place(index)
        return dataset.has_mask(index)

    def name(self, index):
        dataset, index = self._place(index)
        return dataset.name(index)

    def files(self, index):
        dataset, index = self._place(index)
        return dataset.files(index)

    def read(self, index):
        dataset, index = self._place(index)
        return dataset.read(index)

    def _place(self, index):
        """Returns the data set that contains a sample, and the sample's index in it."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        before = int(self._ends[number - 1]) if number else 0
        return self._datasets[number], int(index) - before

    @property
    def has_pixel_weights(self):
        return any(dataset.has_pixel_weights for dataset in self._datasets)

    def weigh(self, index, mask):
        dataset, index = self._place(index)
        return dataset.weigh(index, mask)

    def __repr__(self):
        return " + ".join(map(repr, self._datasets))


def _plain(value):
    """Converts lists and arrays of colors to tuples, for comparison."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(map(_plain, value))
    return value
