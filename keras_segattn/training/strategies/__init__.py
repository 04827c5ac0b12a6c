"""Strategies for training on several devices, built on TensorFlow and Keras."""

import keras

from keras_segattn.training.strategies.data_parallel import DataParallel
from keras_segattn.training.strategies.mirrored import Mirrored
from keras_segattn.training.strategies.multi_worker import MultiWorker
from keras_segattn.training.strategies.one_device import OneDevice
from keras_segattn.training.strategies.strategy import Strategy

STRATEGIES = {
    "none": OneDevice,
    "mirrored": Mirrored,
    "multi_worker": MultiWorker,
    "data_parallel": DataParallel,
}
# The reasons why a strategy of another backend does not work.
INSTEAD = {
    "torch": "With torch, Keras's `fit` supports only one device, and "
    "`keras.distribution` raises AttributeError: 'NoneType' object has no attribute "
    "'list_devices'. Keras documents only a custom loop with torch's DistributedDataParallel",
    "tensorflow": "On TensorFlow, `keras.distribution` silently does nothing: use "
    "`strategy='mirrored'` or `strategy='multi_worker'`",
    "jax": "On JAX, use `strategy='data_parallel'`",
}


def open_strategy(options, batch_size):
    """Returns the strategy of a training, or raises before anything has started.

    Args:
        options: A `TrainingOptions`.
        batch_size: Integer, the number of samples per step, over all devices.

    Returns:
        A `Strategy`.

    Raises:
        ValueError: If the backend, the devices or the options do not allow it.
    """
    name = options.strategy
    strategy, backend = STRATEGIES[name], keras.backend.backend()
    if strategy.backend not in (None, backend):
        raise ValueError(
            f"`strategy={name!r}` requires KERAS_BACKEND={strategy.backend}. It is {backend}. "
            f"{INSTEAD[backend]}."
        )
    if options.deterministic and backend != "tensorflow":
        raise ValueError(
            f"`deterministic=True` requires KERAS_BACKEND=tensorflow. It is {backend}, which has "
            "its own switch: XLA_FLAGS=--xla_gpu_deterministic_ops=true for JAX, "
            "`torch.use_deterministic_algorithms(True)` for torch."
        )
    if options.virtual_devices is not None and name not in ("mirrored", "data_parallel"):
        raise ValueError(
            "`virtual_devices` requires `strategy='mirrored'` or `strategy='data_parallel'`. "
            f"Received: `strategy={name!r}`"
        )
    if options.sync_batch_norm and strategy.backend != "tensorflow":
        raise ValueError(
            "`sync_batch_norm=True` requires `strategy='mirrored'` or `strategy='multi_worker'`. "
            f"With {name!r}, batch normalization already uses the whole batch, and on other "
            "backends Keras raises 'Argument synchronized=True is only supported with the "
            "TensorFlow backend'."
        )
    if options.gradient_accumulation_steps is not None and strategy.backend == "tensorflow":
        raise ValueError(
            f"`gradient_accumulation_steps` does not work with `strategy={name!r}`: Keras's "
            "optimizers raise 'RuntimeError: `merge_call` called while defining a new graph or a "
            "tf.function'. Use more devices, or `strategy='data_parallel'` on JAX."
        )
    if options.mixed_precision == "float16" and strategy.backend == "tensorflow":
        raise ValueError(
            f"`mixed_precision='float16'` does not work with `strategy={name!r}`: Keras checks "
            "the gradients of each device for overflow before it adds them. Use "
            "`mixed_precision='bfloat16'`."
        )
    if name == "multi_worker" and options.jit_compile is True:
        raise ValueError(
            "`jit_compile=True` does not work with `strategy='multi_worker'`: its loop replaces "
            "`fit` and does not use XLA. Use `jit_compile='auto'` or "
            "`jit_compile=False`."
        )
    strategy = strategy(options.virtual_devices)
    strategy.check(batch_size, options.jit_compile)
    return strategy


__all__ = ["DataParallel", "Mirrored", "MultiWorker", "OneDevice", "Strategy", "open_strategy"]
