"""How several devices share a training: with TensorFlow's and Keras's own means."""

import keras

from keras_segattn.applications.arguments import check_choice
from keras_segattn.training.strategies.data_parallel import DataParallel
from keras_segattn.training.strategies.mirrored import Mirrored
from keras_segattn.training.strategies.multi_worker import MultiWorker
from keras_segattn.training.strategies.one_device import OneDevice
from keras_segattn.training.strategies.strategy import Strategy

STRATEGIES = {
    "none": OneDevice,
    "mirrored": Mirrored,
    "multiworker": MultiWorker,
    "data-parallel": DataParallel,
}
# Why a strategy of another backend will not do, and what the framework itself does.
INSTEAD = {
    "torch": "Keras trains on one device with torch: `fit` has no more, and `keras.distribution` "
    "raises AttributeError: 'NoneType' object has no attribute 'list_devices'. What it documents "
    "is a loop of one's own with torch's DistributedDataParallel",
    "tensorflow": "On TensorFlow `keras.distribution` does nothing, without an error: take "
    "--strategy mirrored or multiworker",
    "jax": "On JAX take --strategy data-parallel",
}


def open_strategy(
    name,
    batch_size,
    jit_compile="auto",
    sync_batch_norm=False,
    virtual_devices=None,
    gradient_accumulation_steps=None,
    mixed_precision=None,
):
    """Returns a strategy, or says why it cannot be before anything has begun.

    Args:
        name: `"none"`, `"mirrored"`, `"multiworker"` or `"data-parallel"`.
        batch_size: Integer, the number of samples of a step, on all devices together.
        jit_compile: As in `compile`. Defaults to `"auto"`.
        sync_batch_norm: Boolean, whether batch normalization is to see the batch of all devices.
            Defaults to `False`.
        virtual_devices: Integer, the number of devices to divide the CPU into, or `None` for the
            devices that there are. Defaults to `None`.
        gradient_accumulation_steps: Integer, as an optimizer takes it, or `None`. Defaults to
            `None`.
        mixed_precision: `"float16"`, `"bfloat16"` or `None`. Defaults to `None`.

    Returns:
        A `Strategy`.

    Raises:
        ValueError: If the backend, the devices or the arguments do not allow it.
    """
    check_choice("--strategy", name, tuple(STRATEGIES))
    strategy, backend = STRATEGIES[name], keras.backend.backend()
    if strategy.backend not in (None, backend):
        raise ValueError(
            f"--strategy {name} needs KERAS_BACKEND={strategy.backend}. It is {backend}. "
            f"{INSTEAD[backend]}."
        )
    if virtual_devices is not None and (name not in ("mirrored", "data-parallel")):
        raise ValueError(
            "--virtual-devices goes with --strategy mirrored or data-parallel. Received: "
            f"--strategy {name}"
        )
    if virtual_devices is not None and virtual_devices < 1:
        raise ValueError(f"--virtual-devices must be at least 1. Received: {virtual_devices}")
    if sync_batch_norm and strategy.backend != "tensorflow":
        raise ValueError(
            f"--sync-batch-norm goes with --strategy mirrored or multiworker. With {name} batch "
            "normalization sees the whole batch already, and but for TensorFlow Keras raises "
            "«Argument synchronized=True is only supported with the TensorFlow backend»."
        )
    if gradient_accumulation_steps is not None and strategy.backend == "tensorflow":
        raise ValueError(
            f"--accumulate does not go with --strategy {name}: Keras's optimizers raise "
            "«RuntimeError: `merge_call` called while defining a new graph or a tf.function». Use "
            "more devices, or data-parallel on JAX."
        )
    if mixed_precision == "float16" and strategy.backend == "tensorflow":
        raise ValueError(
            f"--mixed-precision float16 does not go with --strategy {name}: Keras looks for "
            "overflow in the gradients of each device by itself, before they are added up. Pass "
            "bfloat16."
        )
    if name == "multiworker" and jit_compile is True:
        raise ValueError(
            "--jit on does not go with --strategy multiworker, whose loop takes the place of "
            "`fit` and does not use XLA. Pass --jit auto or off."
        )
    strategy = strategy(virtual_devices)
    strategy.check(batch_size, jit_compile)
    return strategy


__all__ = ["DataParallel", "Mirrored", "MultiWorker", "OneDevice", "Strategy", "open_strategy"]
