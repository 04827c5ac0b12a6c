"""Saves a model atomically."""

import contextlib
import errno
from pathlib import Path

import keras

from keras_segattn.atomic_files import atomic_path

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def save_atomically(model, path):
    """Saves a model so that `path` is either the complete new file or the complete old one.

    Raises:
        FileNotFoundError: If the folder is no longer there.
        OSError: If the file cannot be written, on a full disk for example; no partial file is left.
    """
    try:
        with atomic_path(path) as temporary, _undistributed():
            model.save(temporary)
    except OSError as error:
        folder = Path(path).parent
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{path} could not be written: the folder {folder} no longer exists. It was "
                "moved or removed, or its disk was unmounted, during training. Restore it and "
                "resume from its last checkpoint, or start again in another folder."
            ) from error
        if error.errno in NO_SPACE:
            fix = "Make room"
        else:
            fix = "Check the disk and the permissions of the folder"
        raise OSError(
            f"{path} could not be written: {error}. The previous file is intact. {fix}, and "
            "resume from the last checkpoint."
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
