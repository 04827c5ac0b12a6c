"""A `keras.utils.PyDataset` of samples, for users without TensorFlow."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from keras_segattn.arguments import check_at_least
from keras_segattn.data.sampler import MIXED_SIZES


class SegmentationPyDataset(keras.utils.PyDataset):
    """The batches of a `Sampler`; see `SegmentationDataset`.

    Keras's workers are not used, because their prefetched batches are lost when an epoch ends.
    Instead, the dataset's own threads read one batch ahead.

    For training, `endless` yields the batches of all epochs in one sequence. Otherwise the dataset
    contains one epoch and moves to the next epoch only after Keras has taken all batches: Keras
    signals one extra epoch end while building the model, after at most one batch.
    """

    shuffles_itself = True

    def __init__(self, sampler, preprocessing=None, first_epoch=0, workers=2, endless=False):
        check_at_least("workers", workers, 1)
        super().__init__()
        self.sampler = sampler
        self.preprocessing = preprocessing
        self.endless = endless
        self._epoch = first_epoch
        self._within_epoch = False
        self._taken = set()
        self._readers = workers
        self._threads = ThreadPoolExecutor(workers)
        self._ahead = {}

    def __getstate__(self):
        # Threads, and the batch they are reading, stay in their process.
        return {**self.__dict__, "_threads": None, "_ahead": {}}

    def __setstate__(self, state):
        self.__dict__.update(state)
        self._threads = ThreadPoolExecutor(self._readers)

    @property
    def num_batches(self):
        return None if self.endless else self.sampler.batches

    def on_epoch_begin(self):
        self._within_epoch = True

    def on_epoch_end(self):
        # `steps_per_epoch` may end an epoch of Keras before all batches are taken.
        all_taken = len(self._taken) == self.num_batches
        if self.sampler.training and self._within_epoch and all_taken:
            self._epoch += 1
            self._taken = set()
        self._within_epoch = False

    def __getitem__(self, batch):
        # Keras takes some batches to see shapes or to build a model, and then restarts.
        if batch in self._taken:
            self._taken = set()
        self._taken.add(batch)
        epoch, batch = self._place(batch)
        samples = self._ahead.pop((epoch, batch), None) or self._begin(epoch, batch)
        # After a restart, the prefetched batch is useless.
        following = self._following(epoch, batch)
        self._ahead = {following: self._begin(*following)} if following else {}
        samples = [sample.result() for sample in samples]
        sizes = {mask.shape for _, mask, *_ in samples}
        if len(sizes) > 1:
            raise ValueError(f"{MIXED_SIZES} Received: {sorted(sizes)}")
        images, masks, *weights = (np.stack(arrays) for arrays in zip(*samples, strict=True))
        if self.preprocessing is not None:
            images = keras.ops.convert_to_numpy(self.preprocessing(images))
        return images, masks, *weights

    def _place(self, batch):
        """Returns the epoch of a batch and its index in the epoch."""
        if self.endless:
            epoch, batch = divmod(batch, self.sampler.batches)
            return self._epoch + epoch, batch
        if not 0 <= batch < self.sampler.batches:
            raise IndexError(
                f"The index of a batch must be from 0 to {self.sampler.batches - 1}. Received: "
                f"{batch}"
            )
        return self._epoch, batch

    def _following(self, epoch, batch):
        if batch + 1 < self.sampler.batches:
            return epoch, batch + 1
        return (epoch + 1, 0) if self.sampler.training else None

    def _begin(self, epoch, batch):
        """Starts reading a batch."""
        indices = self._indices(epoch, batch)
        return [self._threads.submit(self.sampler.read, epoch, index) for index in indices]

    def _indices(self, epoch, batch):
        size = self.sampler.part_size
        return self.sampler.order(epoch)[batch * size : (batch + 1) * size]
