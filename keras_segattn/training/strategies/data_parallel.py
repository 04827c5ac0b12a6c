"""Several devices, in one or more processes, on JAX."""

import os

import keras

from keras_segattn.training.strategies.strategy import Strategy


class DataParallel(Strategy):
    """`keras.distribution.DataParallel` with `fit`.

    Several processes connect through the environment variables of `keras.distribution.initialize`:
    `KERAS_DISTRIBUTION_JOB_ADDRESSES`, the address and port of the first process,
    `KERAS_DISTRIBUTION_NUM_PROCESSES` and `KERAS_DISTRIBUTION_PROCESS_ID`.

    Args:
        virtual_devices: Integer, the number of virtual devices to split the CPU into, or `None` for
            the physical devices. Defaults to `None`.
    """

    backend = "jax"

    def __init__(self, virtual_devices=None):
        import jax

        if virtual_devices is not None:
            jax.config.update("jax_platforms", "cpu")
            jax.config.update("jax_num_cpu_devices", virtual_devices)
        names = ("JOB_ADDRESSES", "NUM_PROCESSES", "PROCESS_ID")
        variables = [f"KERAS_DISTRIBUTION_{name}" for name in names]
        missing = [name for name in variables if name not in os.environ]
        if not missing:
            address, count, _ = (os.environ[name] for name in variables)
            print(f"waiting for {count} processes at {address}", flush=True)
            keras.distribution.initialize()
        elif len(missing) < len(variables):
            raise ValueError(f"Several processes also require the environment variables {missing}.")
        self.processes, self.process = jax.process_count(), jax.process_index()
        # Each process reads its own part of the data.
        self.distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
        self.devices = len(keras.distribution.list_devices())
        if self.processes > 1:
            self.lost_worker = (jax.errors.JaxRuntimeError,)

    def scope(self):
        return self.distribution.scope()

    def fit(self, model, batches, **arguments):
        with self.scope():
            super().fit(model, batches, **arguments)

    def batches(self, data, batch_size, training=False, **arguments):
        if not training and self.devices > 1:
            sizes = {data.read(index)[1].shape for index in range(len(data))}
            if len(sizes) > 1:
                raise ValueError(
                    "JAX splits only arrays of the same size across devices; the validation images "
                    f"have {len(sizes)} sizes, such as {min(sizes)} and {max(sizes)}. Use "
                    "TensorFlow's `strategy='mirrored'`, or one device."
                )
        return super().batches(data, batch_size, training=training, **arguments)

    def _gather(self, number):
        import numpy as np
        from jax.experimental import multihost_utils

        return multihost_utils.process_allgather(np.array([number])).ravel().tolist()

    def close(self):
        if self.processes > 1:
            import jax

            jax.distributed.shutdown()
