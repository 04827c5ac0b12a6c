"""The arrays of an `.npz` file, which are expanded one at a time, when they are asked for."""

import zipfile
import zlib

import numpy as np

from keras_segattn.weights.torch_tensors import CheckpointError

# Deflate reaches 1,000 on constants; on weights, even on half zeros, less than 10.
MOST_EXPANSION = 100
# Bytes that any file may expand to.
FREE_EXPANSION = 64 << 20
NUMBERS, TEXT = "biufc", "SU"


class StoredArray:
    """An array in an `.npz` file: shape and dtype are known, its numbers are still compressed.

    `np.asarray` expands it.
    """

    def __init__(self, path, name, shape, dtype):
        self.path = path
        self.name = name
        self.shape = shape
        self.dtype = dtype

    def __array__(self, dtype=None, copy=None):
        if self.dtype.kind not in NUMBERS:
            raise CheckpointError(f"holds text under {self.name}, where numbers are expected")
        return self.read().astype(dtype or self.dtype, copy=False)

    def read(self):
        """Returns the array; text, too."""
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.name}.npy") as file:
                return np.lib.format.read_array(file, allow_pickle=False)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
            raise CheckpointError(f"is damaged in {self.name}: {error}") from None


def open_npz(path):
    """Returns the arrays of an `.npz` file as a dict of `StoredArray`.

    Only the headers are read, so that the file costs no more memory than the arrays that are taken
    from it.

    Raises:
        CheckpointError: If an entry is no array, says another size than it has, holds Python's
            objects, or is compressed in a way that NumPy does not write.
    """
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        # A hostile file may offer the same bytes under many names.
        if sum(entry.compress_size for entry in entries) > path.stat().st_size:
            raise CheckpointError("has entries that overlap")
        for entry in entries:
            name = entry.filename.removesuffix(".npy")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise CheckpointError(f"compresses {name} in a way that NumPy does not")
            if name == entry.filename or name in arrays:
                raise CheckpointError(
                    f"has an entry {entry.filename}, which is no array of its own"
                )
            with archive.open(entry) as file:
                arrays[name] = StoredArray(path, name, *_header(file, name, entry.file_size))
    return arrays


def check_expansion(path, arrays):
    """Raises a CheckpointError if a file expands to far more than it is."""
    size = sum(_bytes(array.shape, array.dtype) for array in arrays.values())
    most = max(FREE_EXPANSION, MOST_EXPANSION * path.stat().st_size)
    if size > most:
        raise CheckpointError(
            f"expands to {size / 1e6:,.0f} MB, more than the {most / 1e6:,.0f} MB that are read "
            "from a file of its size. If you trust it, read it with `numpy.load`."
        )


def _header(file, name, size):
    """Reads the header before the numbers: the shape and the dtype."""
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(file)
    except (ValueError, KeyError) as error:
        raise CheckpointError(f"holds {name}, which is no array: {error}") from None
    if dtype.hasobject:
        raise CheckpointError(
            f"holds Python's objects in {name} (allow_pickle), which are not read"
        )
    if dtype.kind not in NUMBERS + TEXT:
        raise CheckpointError(f"holds {name} of type {dtype}, which is neither numbers nor text")
    if file.tell() + _bytes(shape, dtype) != size:
        raise CheckpointError(f"gives {name} a shape {shape} that its numbers do not have")
    return shape, dtype


def _bytes(shape, dtype):
    # Python's integers do not overflow.
    count = dtype.itemsize
    for side in shape:
        count *= side
    return count
