"""The device that trains, and its memory."""

import os
from typing import NamedTuple

import keras


class Machine(NamedTuple):
    """A device.

    Attributes:
        name: Text for messages.
        gpu: Boolean, whether it is a GPU or TPU.
        memory: Integer, the bytes of memory that are free.
    """

    name: str
    gpu: bool
    memory: int


def find_machine():
    """Returns the `Machine` on which Keras's backend computes."""
    backend = keras.backend.backend()
    found = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}.get(backend, lambda: None)()
    return found or Machine("no GPU", False, free_memory())


def free_memory():
    """Returns the bytes of the computer's memory that are free, or half of it where unknown."""
    try:
        with open("/proc/meminfo") as file:
            line = next(line for line in file if line.startswith("MemAvailable"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf.
        return 4 << 30


def _tensorflow():
    import tensorflow as tf

    if not (devices := tf.config.list_physical_devices("GPU")):
        return None
    details = tf.config.experimental.get_device_details(devices[0])
    # TensorFlow reports its allocated memory, but not the total memory of the device.
    return Machine(details.get("device_name", "GPU"), True, _nvidia_memory() or 8 << 30)


def _jax():
    import jax

    device = jax.devices()[0]
    if device.platform == "cpu":
        return None
    limit = (device.memory_stats() or {}).get("bytes_limit", 8 << 30)
    return Machine(device.device_kind, True, limit)


def _torch():
    import torch

    if not torch.cuda.is_available():
        return None
    free, _ = torch.cuda.mem_get_info()
    return Machine(torch.cuda.get_device_name(), True, free)


def _nvidia_memory():
    """Returns the bytes that `nvidia-smi` says are free on the first GPU, or `None`."""
    import subprocess

    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout
        return int(text.splitlines()[0]) << 20
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
