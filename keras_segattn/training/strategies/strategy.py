"""The base class of the strategies."""

import contextlib
import importlib.util

from keras_segattn.data.py_dataset import SegmentationPyDataset
from keras_segattn.data.sampler import Sampler
from keras_segattn.data.tf_data import tf_dataset


class Strategy:
    """Training with `fit`. Subclasses override the steps that differ on several devices.

    Args:
        virtual_devices: Integer, the number of virtual devices to split the CPU into, or `None` for
            the physical devices. Only strategies with one process accept a number. Defaults to
            `None`.

    Attributes:
        devices: Number of devices that share a batch, over all processes.
        processes: Number of processes.
        process: Index of this process, from 0; only process 0, the chief, writes.
        lost_worker: Tuple of the errors that the framework raises when a process is gone.
    """

    backend = None
    devices = 1
    processes = 1
    process = 0
    lost_worker = ()

    def __init__(self, virtual_devices=None):
        del virtual_devices

    @property
    def chief(self):
        """True if this process writes."""
        return self.process == 0

    def check(self, batch_size, jit_compile):
        """Raises a ValueError if a batch cannot be divided or XLA cannot be used."""
        del jit_compile
        if batch_size % self.devices:
            below = batch_size - batch_size % self.devices
            choice = f"{below} or {below + self.devices}" if below else f"{self.devices}"
            raise ValueError(
                f"A batch of {batch_size} cannot be split across {self.devices} devices. Use "
                f"`batch_size` {choice}, or another number of devices."
            )

    def check_agreement(self, epochs_done, folder):
        """Raises a ValueError if processes would resume from different epochs."""
        found = self._gather(epochs_done)
        if len(set(found)) > 1:
            raise ValueError(
                f"The processes find {found} finished epochs in {folder}. All processes must "
                "share `folder`."
            )

    def _gather(self, number):
        """Gathers a number from every process."""
        return [number]

    def scope(self):
        """Returns the context in which the model is built and compiled."""
        return contextlib.nullcontext()

    def batches(
        self,
        data,
        batch_size,
        training=False,
        augmentation=None,
        preprocessing=None,
        seed=0,
        first_epoch=0,
    ):
        """Returns this process's share of a data set's batches, for `fit`."""
        sampler = Sampler(
            data,
            batch_size,
            training,
            augmentation,
            seed,
            cache=False,
            share=(self.process, self.processes),
            fill=self.devices > 1,
        )
        # With TensorFlow, tf.data, which prefetches further; the samples are the same.
        if importlib.util.find_spec("tensorflow"):
            return self._distribute(sampler, preprocessing, first_epoch)
        return SegmentationPyDataset(sampler, preprocessing, first_epoch, endless=sampler.training)

    def _distribute(self, sampler, preprocessing, first_epoch):
        # Infinite, so that no time is lost between epochs.
        return tf_dataset(sampler, preprocessing, first_epoch, endless=sampler.training)

    def fit(self, model, batches, **arguments):
        """Trains like `fit`, with the same arguments."""
        model.fit(batches, shuffle=False, **arguments)  # the pipeline shuffles

    def close(self):
        """Releases the other processes."""
