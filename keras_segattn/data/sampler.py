"""Which samples an epoch has, in which order, and how each is changed."""

import numpy as np


class Sampler:
    """The samples of a data set by epoch, the same for the same seed whoever reads them.

    Args:
        dataset: A `SegmentationDataset`.
        batch_size: Integer.
        training: Boolean; training shuffles, and leaves out what does not fill a batch.
        augmentation: Callable `(image, mask, rng) -> (image, mask)`, or `None`.
        seed: Integer.
        cache: Boolean, whether to keep the decoded images in memory.

    Raises:
        ValueError: If the samples do not fill one batch of training.
    """

    def __init__(self, dataset, batch_size, training, augmentation, seed, cache):
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1. Received: {batch_size}")
        if training and len(dataset) < batch_size:
            raise ValueError(f"{len(dataset)} samples do not fill a batch of {batch_size}.")
        self.samples = len(dataset)
        self.batch_size = batch_size
        self.training = training
        self.augmentation = augmentation
        self.seed = seed
        self._dataset = dataset
        self._cache = {} if cache else None

    @property
    def batches(self):
        """The number of batches of an epoch."""
        whole, rest = divmod(self.samples, self.batch_size)
        return whole if self.training or not rest else whole + 1

    def order(self, epoch):
        """Returns the indices of the samples of an epoch."""
        if not self.training:
            return np.arange(self.samples)
        # Whole batches only; what is left over differs from epoch to epoch.
        order = np.random.default_rng((self.seed, epoch)).permutation(self.samples)
        return order[: self.batches * self.batch_size]

    def read(self, epoch, index):
        """Returns the image and the mask of a sample as an epoch has them."""
        image, mask = self._sample(int(index))
        if self.augmentation is None:
            return image, mask
        # The third number keeps the samples' generators apart from those of the orders.
        rng = np.random.default_rng((self.seed, int(epoch), int(index) + 1))
        return self.augmentation(image, mask, rng)

    def _sample(self, index):
        if self._cache is None:
            return self._dataset.read(index)
        if index not in self._cache:
            self._cache[index] = self._dataset.read(index)
        return self._cache[index]
