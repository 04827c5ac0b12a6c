"""Samples as a `keras.utils.PyDataset`, for users without TensorFlow."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from keras_segattn.arguments import check_at_least
from keras_segattn.data.sampler import MIXED_SIZES


class SegmentationPyDataset(keras.utils.PyDataset):
    """The batches of a `Sampler`, one epoch after the other; see `SegmentationDataset`.

    Keras's own workers are not used: batches that they have read ahead are lost when
    `steps_per_epoch` ends an epoch. Threads of its own read one batch ahead.

    The dataset is infinite in training: Keras signals one extra epoch end while building the model,
    so counting epochs would be off by one.
    """

    def __init__(self, sampler, preprocessing=None, first_epoch=0, workers=2):
        check_at_least("workers", workers, 1)
        super().__init__()
        self.sampler = sampler
        self.preprocessing = preprocessing
        self.first_epoch = first_epoch
        self._readers = workers
        self._threads = ThreadPoolExecutor(workers)
        self._ahead = {}

    def __getstate__(self):
        # Threads and the batch that they are reading stay in their process.
        return {**self.__dict__, "_threads": None, "_ahead": {}}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._threads = ThreadPoolExecutor(self._readers)

    @property
    def num_batches(self):
        return None if self.sampler.training else self.sampler.batches

    def __getitem__(self, batch):
        samples = self._ahead.pop(batch, None) or self._begin(batch)
        # When Keras starts anew, the batch read ahead is of no use.
        self._ahead = {batch + 1: self._begin(batch + 1)}
        samples = [sample.result() for sample in samples]
        sizes = {mask.shape for _, mask in samples}
        if len(sizes) > 1:
            raise ValueError(f"{MIXED_SIZES} Received: {sorted(sizes)}")
        images, masks = (np.stack(arrays) for arrays in zip(*samples, strict=True))
        if self.preprocessing is not None:
            images = keras.ops.convert_to_numpy(self.preprocessing(images))
        if self.sampler.weights is None:
            return images, masks
        return images, masks, self.sampler.weights_of(self._indices(batch)[1])

    def _begin(self, batch):
        """Starts to read a batch; none beyond the last."""
        epoch, indices = self._indices(batch)
        return [self._threads.submit(self.sampler.read, epoch, index) for index in indices]

    def _indices(self, batch):
        epoch, batch = divmod(batch, self.sampler.batches)
        if epoch and not self.sampler.training:
            return epoch, []
        epoch += self.first_epoch
        size = self.sampler.part_size
        return epoch, self.sampler.order(epoch)[batch * size : (batch + 1) * size]
