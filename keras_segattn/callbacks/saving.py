"""Saving a model whole."""

import contextlib

import keras

from keras_segattn.atomic_files import atomic_path


def save_atomically(model, path):
    """Saves a model so that `path` holds either the whole new file or what it held before.

    Raises:
        OSError: If the file cannot be written, as on a full disk; nothing half-written is left.
    """
    try:
        with atomic_path(path) as temporary, _by_this_process_alone():
            model.save(temporary)
    except OSError as error:
        raise OSError(
            f"{path} could not be written: {error}. What was saved before is whole; make room, and "
            "go on from the last checkpoint."
        ) from error


@contextlib.contextmanager
def _by_this_process_alone():
    """Keras puts values onto all devices as it saves, for which all processes would be needed."""
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)
