"""Some samples of a data set."""

import numpy as np

from keras_segattn.data.dataset import SegmentationDataset


class Subset(SegmentationDataset):
    """Some samples of a data set, read from it on demand.

    `data[:100]`, `data[[3, 5]]`, `data.split` and `data.kfold` return subsets. A subset copies the
    classes and settings of its data set at that moment.

    Args:
        dataset: A `SegmentationDataset`.
        indices: Sequence of integers, the samples in their new order.

    Raises:
        ValueError: If there are no indices.

    Example:

    >>> data = keras_segattn.data.RoadScenes("train", count=10)
    >>> len(Subset(data, [7, 2])), data[:4].name(3)
    (2, 'train_00003')
    """

    def __init__(self, dataset, indices):
        indices = np.asarray(indices, dtype=int)
        if not len(indices):
            raise ValueError(f"A part of {dataset!r} must contain a sample. Received: no samples.")
        self._dataset = dataset
        self._indices = indices
        self._copy_description(dataset)
        self.submission_labels = dataset.submission_labels
        if dataset.sample_weights is not None:
            self.sample_weights = np.asarray(dataset.sample_weights)[indices].tolist()

    def __len__(self):
        return len(self._indices)

    @property
    def has_masks(self):
        return any(self._dataset.has_mask(index) for index in self._indices.tolist())

    def has_mask(self, index):
        return self._dataset.has_mask(int(self._indices[index]))

    def name(self, index):
        return self._dataset.name(int(self._indices[index]))

    def files(self, index):
        return self._dataset.files(int(self._indices[index]))

    def read(self, index):
        return self._dataset.read(int(self._indices[index]))

    @property
    def has_pixel_weights(self):
        return self._dataset.has_pixel_weights

    def weigh(self, index, mask):
        return self._dataset.weigh(int(self._indices[index]), mask)

    def __repr__(self):
        return f"{len(self)} of {self._dataset!r}"
