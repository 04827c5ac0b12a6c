"""Keras's own files, read so that no other file's content becomes weights."""

import io
import math
import zipfile

import h5py
import keras

# Array size that is always allowed: classifiers for other classes may be larger than ours.
FREE_NUMBERS = 1 << 20
# Keras does not compress the weights of a `.keras` file.
MOST_EXPANSION = 100


def load_keras_weights(model, path):
    """Loads a file written by `model.save_weights`.

    An HDF5 dataset may refer to another file, which would then be read as weights. Links and
    external or virtual storage are therefore rejected. An array larger than the whole network is
    rejected before it is decompressed.

    Args:
        model: The network, changed in place.
        path: Path of a `.weights.h5` file.

    Raises:
        ValueError: If the file is damaged, refers to other files, or does not fit. The network then
            stays unchanged.
    """
    before = model.get_weights()
    try:
        if str(path).endswith(".h5"):
            with h5py.File(path) as file:
                _check(file, max(FREE_NUMBERS, model.count_params()))
        model.load_weights(path)
    except Exception as error:
        model.set_weights(before)
        # HDF5 raises many kinds of errors for a damaged file.
        raise ValueError(
            f"{path} was not loaded into {model.name!r}; it is damaged or for another network: "
            f"{error}"
        ) from error


def load_keras_model(path):
    """Loads a `.keras` file without its optimizer, for use.

    `keras.saving.load_model` does the same, but before Keras 3.14.1 it follows a dataset of the
    weights into any other file on the disk. Such files are refused here in every version.

    Args:
        path: Path of a `.keras` file.

    Returns:
        The model, not compiled.

    Raises:
        ValueError: If the weights are in other files, or Keras cannot load the file.

    Example:

    ```python
    model = keras_segattn.weights.load_keras_model("street.keras")
    ```
    """
    if zipfile.is_zipfile(path):
        try:
            _check_archive(path)
        except Exception as error:
            # The readers of both formats have errors of many kinds for damage.
            raise ValueError(f"{path} was not loaded: {error}") from error
    return keras.saving.load_model(path, compile=False)


def _check_archive(path):
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.filename.endswith(".h5"):
                if entry.file_size > MOST_EXPANSION * max(entry.compress_size, FREE_NUMBERS):
                    raise ValueError(f"{entry.filename} expands to {entry.file_size:,} bytes.")
                with h5py.File(io.BytesIO(archive.read(entry))) as file:
                    _check(file, math.inf)


def _check(file, most):
    groups, seen = [file], set()
    while groups:
        group = groups.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError(
                    f"{group.name} has a link {name!r}, which may lead to other files."
                )
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if isinstance(item, h5py.Group) and address not in seen:
                groups.append(item)
            if isinstance(item, h5py.Dataset):
                _check_dataset(item, most)
            seen.add(address)


def _check_dataset(dataset, most):
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{dataset.name} stores its numbers in other files.")
    if dataset.size is not None and dataset.size > most:
        raise ValueError(
            f"{dataset.name} has {dataset.size:,} numbers, more than the whole network."
        )
