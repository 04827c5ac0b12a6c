from pathlib import Path

import keras
import pytest

from keras_segattn.callbacks import AtomicCheckpoint, save_atomically


def test_a_broken_write_leaves_the_file_of_before(tmp_path, monkeypatch):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    path = tmp_path / "model.keras"
    save_atomically(model, path)
    before = path.read_bytes()

    def disk_full(self, filepath):
        Path(filepath).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(type(model), "save", disk_full)
    with pytest.raises(OSError, match="No space left"):
        save_atomically(model, path)
    assert path.read_bytes() == before
    assert AtomicCheckpoint.latest(tmp_path) == (None, 0)
