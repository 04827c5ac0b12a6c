import errno
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_segattn.callbacks import AtomicCheckpoint, save_atomically


def test_a_broken_write_leaves_the_file_of_before(tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    path = tmp_path / "model.keras"
    save_atomically(model, path)
    before = path.read_bytes()

    def disk_full(self, filepath):
        Path(filepath).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(model), "save", disk_full)
    with pytest.raises(OSError, match=r"No space left.*previous file is intact\. Make room"):
        save_atomically(model, path)
    assert path.read_bytes() == before
    assert AtomicCheckpoint.latest(tmp_path) == (None, 0)


def test_a_folder_that_is_removed_while_a_model_trains_is_told(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")

    def remove(epoch, logs):
        shutil.rmtree(tmp_path / "checkpoints")

    callbacks = [
        keras.callbacks.LambdaCallback(on_epoch_end=remove),
        AtomicCheckpoint(tmp_path / "checkpoints", monitor="loss"),
    ]
    with pytest.raises(FileNotFoundError, match=r"checkpoints no longer exists\. It was moved"):
        model.fit(np.zeros((4, 2)), np.zeros((4, 1)), callbacks=callbacks, verbose=0)
