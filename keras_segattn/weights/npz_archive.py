"""The arrays of an `.npz` file, decompressed one at a time, on demand."""

import zipfile
import zlib

import numpy as np

from keras_segattn.weights.torch_tensors import CheckpointError

# Deflate compresses constants 1,000 times, but weights, even half zeros, less than 10 times.
MOST_EXPANSION = 100
# Number of bytes to which any file may expand.
FREE_EXPANSION = 64 << 20
NUMBERS, TEXT = "biufc", "SU"


class StoredArray:
    """An array in an `.npz` file with known shape and dtype, still compressed.

    `np.asarray` decompresses it.
    """

    def __init__(self, path, name, shape, dtype):
        self.path = path
        self.name = name
        self.shape = shape
        self.dtype = dtype

    def __array__(self, dtype=None, copy=None):
        if self.dtype.kind not in NUMBERS:
            raise CheckpointError(f"contains text under {self.name} instead of numbers")
        return self.read().astype(dtype or self.dtype, copy=False)

    def read(self):
        """Returns the array, even if it contains text."""
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.name}.npy") as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
            raise CheckpointError(f"is damaged in {self.name}: {error}") from None


def open_npz(path):
    """Returns the arrays of an `.npz` file as a dict of `StoredArray`.

    Only the headers are read, so the file takes no more memory than the arrays read from it.

    Raises:
        CheckpointError: If an entry is not an array, declares a wrong size, contains Python
            objects, or uses a compression that NumPy does not write.
    """
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        # A malicious file may list the same bytes under many names.
        if sum(entry.compress_size for entry in entries) > path.stat().st_size:
            raise CheckpointError("has entries that overlap")
        for entry in entries:
            name = entry.filename.removesuffix(".npy")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise CheckpointError(f"compresses {name} with a method that NumPy does not use")
            if name == entry.filename or name in arrays:
                raise CheckpointError(
                    f"has an entry {entry.filename}, which is not a separate array"
                )
            with archive.open(entry) as file:
                arrays[name] = StoredArray(path, name, *_header(file, name, entry.file_size))
    return arrays


def check_expansion(path, arrays):
    """Raises a CheckpointError if a file expands to far more than its size."""
    size = sum(_bytes(array.shape, array.dtype) for array in arrays.values())
    most = max(FREE_EXPANSION, MOST_EXPANSION * path.stat().st_size)
    if size > most:
        raise CheckpointError(
            f"expands to {size / 1e6:,.0f} MB; the limit for its size is {most / 1e6:,.0f} MB. "
            "If you trust it, read it with `numpy.load`."
        )


def _header(file, name, size):
    """Reads shape and dtype from the header before the numbers."""
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(file)
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"contains {name}, which is not an array: {error}") from None
    if dtype.hasobject:
        raise CheckpointError(
            f"contains Python objects in {name} (allow_pickle), which are not supported"
        )
    if dtype.kind not in NUMBERS + TEXT:
        raise CheckpointError(f"contains {name} of type {dtype}, which is neither numbers nor text")
    if file.tell() + _bytes(shape, dtype) != size:
        raise CheckpointError(f"gives {name} a shape {shape} that does not match its numbers")
    return shape, dtype


def _bytes(shape, dtype):
    # Python integers do not overflow.
    count = dtype.itemsize
    for side in shape:
        count *= side
    return count
