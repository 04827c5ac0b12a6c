"""Callbacks that Keras lacks."""

import contextlib
import math
from pathlib import Path

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


class LearningRateLog(keras.callbacks.Callback):
    """Adds `learning_rate` to the logs of an epoch: the rate that it began with.

    Keras logs the rate of a schedule to TensorBoard alone. To be passed before `CSVLogger`.
    """

    def on_epoch_begin(self, epoch, logs=None):
        self._rate = float(self.model.optimizer.learning_rate)

    def on_epoch_end(self, epoch, logs=None):
        logs["learning_rate"] = self._rate


class AtomicCheckpoint(keras.callbacks.Callback):
    """Saves the model, its optimizer and metrics after every epoch, whole or not at all.

    The folder holds `epoch-0007.keras` after seven epochs, and `best.keras` from the epoch with
    the highest monitored value. A process that is killed while it writes leaves the files of the
    epoch before; Keras's `ModelCheckpoint` and `BackupAndRestore` would leave half a file.

    Args:
        folder: The folder, made if need be.
        monitor: Key of the logs whose maximum is best. Defaults to `"val_mean_iou"`.
        best: The highest value so far, where training is resumed. Defaults to `None`.

    Raises:
        RuntimeError: At the end of an epoch whose loss is not finite; nothing is saved then.

    Example:

    ```python
    checkpoint = AtomicCheckpoint("run/checkpoints", monitor="accuracy")
    model.fit(images, masks, epochs=20, callbacks=[checkpoint])

    path, epochs_done = AtomicCheckpoint.latest("run/checkpoints")
    model = keras.saving.load_model(path)
    checkpoint = AtomicCheckpoint("run/checkpoints", monitor="accuracy", best=0.71)
    model.fit(images, masks, epochs=20, initial_epoch=epochs_done, callbacks=[checkpoint])
    ```
    """

    def __init__(self, folder, monitor="val_mean_iou", best=None):
        super().__init__()
        self.folder = Path(folder)
        self.monitor = monitor
        self.best = best

    def on_train_begin(self, logs=None):
        self.folder.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, epoch, logs=None):
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            raise RuntimeError(
                f"The loss is {loss} after epoch {epoch + 1}. {self.folder} holds the model of the "
                "epoch before. Look for labels that are neither classes nor void by the data set's "
                "verify(), lower the learning rate, or train without mixed precision."
            )
        value = (logs or {}).get(self.monitor)
        if value is None:
            raise ValueError(
                f"There is no {self.monitor!r} in the logs to tell the best epoch by. There is: "
                f"{sorted(logs or {})}"
            )
        if self.best is None or value > self.best:
            self.best = value
            save_atomically(self.model, self.folder / "best.keras")
        path = self.folder / f"epoch-{epoch + 1:04d}.keras"
        save_atomically(self.model, path)
        for older in self.folder.glob("epoch-*.keras"):
            if older != path:
                older.unlink()

    @staticmethod
    def latest(folder):
        """Returns the path of the last checkpoint and the number of epochs done, or `None, 0`."""
        paths = sorted(Path(folder).glob("epoch-*.keras"))
        if not paths:
            return None, 0
        return paths[-1], int(paths[-1].stem.removeprefix("epoch-"))
