"""Saving a model atomically."""

import contextlib

import keras

from keras_segattn.atomic_files import atomic_path


def save_atomically(model, path):
    """Saves a model so that `path` holds the complete new file or the complete old one.

    Raises:
        OSError: If the file cannot be written, as on a full disk; nothing half-written is left.
    """
    try:
        with atomic_path(path) as temporary, _undistributed():
            model.save(temporary)
    except OSError as error:
        raise OSError(
            f"{path} could not be written: {error}. The file before is intact; make room, and "
            "go on from the last checkpoint."
        ) from error


@contextlib.contextmanager
def _undistributed():
    """Disables the distribution: saving would otherwise block until every process takes part."""
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)
