"""Trains on a number of devices, a few steps for each line of input, and prints their seconds.

    python -m benchmarks.scaling.worker DEVICES BATCH HEIGHT WIDTH STEPS

Run by `benchmarks.scaling.measure`. The devices are virtual and share the cores of the CPU; for
JAX, set XLA_FLAGS=--xla_force_host_platform_device_count=DEVICES.
"""

import contextlib
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from keras_segattn.applications import CANet
from keras_segattn.losses import WeightedCrossEntropy

CLASSES = 11
DEVICES, BATCH, HEIGHT, WIDTH, STEPS = map(int, sys.argv[1:])


def scope():
    """Distributes models that are built inside this scope and trained after it."""
    if DEVICES == 1:
        return contextlib.nullcontext()
    if keras.backend.backend() == "jax":
        keras.distribution.set_distribution(keras.distribution.DataParallel())
        return contextlib.nullcontext()
    (processor,) = tf.config.list_physical_devices("CPU")
    logical = [tf.config.LogicalDeviceConfiguration() for _ in range(DEVICES)]
    tf.config.set_logical_device_configuration(processor, logical)
    return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(DEVICES)]).scope()


def main():
    with scope():
        model = CANet(classes=CLASSES)
        # XLA does not compile mirrored devices, so a single device is not compiled either.
        jit_compile = keras.backend.backend() == "jax"
        model.compile(keras.optimizers.SGD(1e-3), WeightedCrossEntropy(), jit_compile=jit_compile)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(BATCH, HEIGHT, WIDTH, 3)).astype("float32")
    masks = rng.integers(0, CLASSES, (BATCH, HEIGHT, WIDTH)).astype("uint8")
    batches = tf.data.Dataset.from_tensors((images, masks)).repeat()
    start = None
    while start is None or sys.stdin.readline():
        if start is None:
            model.fit(batches, steps_per_epoch=1, verbose=0)
        start = time.perf_counter()
        model.fit(batches, steps_per_epoch=STEPS, verbose=0)
        print("seconds", (time.perf_counter() - start) / STEPS, flush=True)


if __name__ == "__main__":
    main()
