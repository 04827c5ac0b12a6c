"""The tensors of torch files, and their conversion to arrays."""

from dataclasses import dataclass

import numpy as np

# NumPy types by torch type; bfloat16 is the upper half of a float32.
ITEM_TYPES = {
    "float16": "f2",
    "bfloat16": "u2",
    "float32": "f4",
    "float64": "f8",
    "uint8": "u1",
    "uint16": "u2",
    "uint32": "u4",
    "uint64": "u8",
    "int8": "i1",
    "int16": "i2",
    "int32": "i4",
    "int64": "i8",
    "bool": "?",
    "complex64": "c8",
    "complex128": "c16",
}


class CheckpointError(ValueError):
    """Raised for unsupported content. The message completes "FILE was not read: it ..."."""


@dataclass(frozen=True)
class Storage:
    """A block of `numel` numbers elsewhere in the file, located by `key`."""

    dtype: str
    key: str
    numel: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage; offset and strides count numbers, as in torch."""

    storage: Storage
    dtype: str
    offset: int
    size: tuple
    stride: tuple


def arrays_of(tensors, read, order):
    """Returns the arrays of a dict of tensors.

    Args:
        tensors: The dict, with a `Tensor` per name.
        read: Function from a `Storage` to its bytes, called once per storage.
        order: `"little"` or `"big"`, the byte order of a number.
    """
    numbers, arrays = {}, {}
    for name, tensor in tensors.items():
        key = (tensor.storage.key, tensor.dtype)
        if key not in numbers:
            stored = read(tensor.storage)
            if len(stored) < tensor.storage.numel * item_type(tensor.storage.dtype).itemsize:
                raise CheckpointError(f"ends before the numbers of {name}")
            numbers[key] = numbers_of(stored, tensor.dtype, order)
        arrays[name] = _view(name, tensor, numbers[key])
    return arrays


def item_type(dtype, order="little"):
    """Returns the NumPy type of a torch type, by name."""
    return np.dtype(ITEM_TYPES[dtype]).newbyteorder({"little": "<", "big": ">"}[order])


def numbers_of(stored, dtype, order):
    """Decodes bytes to a flat array of numbers."""
    numbers = np.frombuffer(stored, item_type(dtype, order))
    if dtype == "bfloat16":
        numbers = (numbers.astype("uint32") << 16).view("float32")
    return numbers


def _view(name, tensor, numbers):
    """Returns a tensor's array without a copy, so a few bytes cannot claim much memory."""
    integers = (tensor.offset, *tensor.size, *tensor.stride)
    if len(tensor.size) != len(tensor.stride) or any(
        not isinstance(value, int) or value < 0 for value in integers
    ):
        raise CheckpointError(f"gives {name} an impossible shape")
    if 0 in tensor.size:
        return np.empty(tensor.size, numbers.dtype)
    steps = zip(tensor.size, tensor.stride, strict=True)
    if tensor.offset + sum((size - 1) * stride for size, stride in steps) >= len(numbers):
        raise CheckpointError(f"gives {name} a shape larger than its storage")
    return np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :],
        tensor.size,
        [stride * numbers.itemsize for stride in tensor.stride],
        writeable=False,
    )
