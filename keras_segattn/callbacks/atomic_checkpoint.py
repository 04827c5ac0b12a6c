"""Checkpoints of every epoch and of the best epoch."""

import contextlib
import json
import math
import re
import warnings
from pathlib import Path

import keras

from keras_segattn.arguments import check_choice
from keras_segattn.atomic_files import make_folder, write_json
from keras_segattn.callbacks.saving import save_atomically

BEST_MODEL = "best.keras"
BEST_VALUE = "best.json"
CHECKPOINT = re.compile(r"epoch-(\d{4,})\.keras")


class AtomicCheckpoint(keras.callbacks.Callback):
    """Saves the model, its optimizer and its metrics after every epoch, atomically.

    After seven epochs, the folder contains `epoch-0007.keras`, `best.keras` from the epoch with the
    best monitored value, and `best.json` with this value and its epoch. A process killed while
    writing leaves the files of the previous epoch; Keras's `ModelCheckpoint` and `BackupAndRestore`
    would leave a partial file. Resumed training reads the best value from the folder.

    An epoch without validation (`validation_freq`) is saved but cannot be the best epoch. Nor can
    an epoch whose value is NaN, unless no epoch has a value yet.

    Args:
        folder: The folder, created if needed.
        monitor: Key of the logs that determines the best epoch. Defaults to `"val_mean_iou"`.
        mode: `"max"`, `"min"`, or `"auto"`, which means `"min"` for names that end in `loss` or
            `error` and `"max"` otherwise. Defaults to `"auto"`.
        averaged: Boolean, whether `best.keras` gets the moving averages of the weights from an
            optimizer with `use_ema=True`. Use it together with `keras.callbacks.SwapEMAWeights`,
            which validates the averages. Defaults to `False`.

    Raises:
        RuntimeError: At the end of an epoch with a loss that is not finite; nothing is saved then.
        ValueError: If the folder contains a later epoch than the first epoch of the training, or
            only one of `best.keras` and `best.json`; or if the logs never contain the monitored
            value.

    Example:

    ```python
    checkpoint = AtomicCheckpoint("run/checkpoints", monitor="accuracy")
    model.fit(images, masks, epochs=20, callbacks=[checkpoint])

    path, epochs_done = AtomicCheckpoint.latest("run/checkpoints")
    model = keras.saving.load_model(path)
    checkpoint = AtomicCheckpoint("run/checkpoints", monitor="accuracy")
    model.fit(images, masks, epochs=30, initial_epoch=epochs_done, callbacks=[checkpoint])
    ```
    """

    def __init__(self, folder, monitor="val_mean_iou", mode="auto", averaged=False):
        super().__init__()
        check_choice("mode", mode, ("auto", "max", "min"))
        if mode == "auto":
            mode = "min" if monitor.endswith(("loss", "error")) else "max"
        self.folder = Path(folder)
        self.monitor = monitor
        self.mode = mode
        self.averaged = averaged
        self.best = None

    def on_train_begin(self, logs=None):
        make_folder(self.folder)
        self._begun = False
        self._told = False

    def on_epoch_begin(self, epoch, logs=None):
        if not self._begun:
            self._begun = True
            self._begin(epoch)

    def on_epoch_end(self, epoch, logs=None):
        logs = logs or {}
        loss = logs.get("loss", 0.0)
        if not math.isfinite(loss):
            raise RuntimeError(
                f"The loss is {loss} after epoch {epoch + 1}. {self.folder} contains the model of "
                "the previous epoch. Find labels that are neither classes nor void with the data "
                "set's verify(), lower the learning rate, or train without mixed precision."
            )
        value = self._value(epoch, logs)
        if value is not None and self._is_better(value):
            self._save_best(epoch, value)
        path = self.folder / f"epoch-{epoch + 1:04d}.keras"
        save_atomically(self.model, path)
        for older in _checkpoints(self.folder):
            if older != path:
                older.unlink()

    def _begin(self, epoch):
        """Reads the best value so far; raises if training would replace saved epochs."""
        path, done = self.latest(self.folder)
        best = self.read_best(self.folder)
        self._check_both(best)
        best = best or {"epoch": 0, "value": None}
        # A process killed after saving the best epoch leaves no checkpoint of this epoch, which is
        # then trained again.
        if done > epoch or best["epoch"] > epoch + 1:
            held = path.name if done >= best["epoch"] else BEST_MODEL
            last = max(done, best["epoch"])
            raise ValueError(
                f"{self.folder} contains {held} of epoch {last}, but training starts with epoch "
                f"{epoch + 1}, which would replace it. Resume with "
                f"`initial_epoch={last}`, or choose another folder."
            )
        if best["epoch"] and best["monitor"] != self.monitor:
            raise ValueError(
                f"{self.folder} contains the best epoch by {best['monitor']!r}. Received: "
                f"monitor={self.monitor!r}. Use the same monitor, or choose another folder."
            )
        self.best = best["value"]

    def _check_both(self, best):
        """Raises a ValueError if only the best model or only its record exists."""
        model, record = self.folder / BEST_MODEL, self.folder / BEST_VALUE
        if model.exists() == (best is not None):
            return
        there, missing = (model, record) if best is None else (record, model)
        raise ValueError(
            f"{there} exists, but {missing.name} is missing, so the best epoch is unknown and a "
            f"worse one might replace it. Restore {missing.name}, or move {there.name} away to "
            "keep the best of the later epochs, or choose another folder."
        )

    def _value(self, epoch, logs):
        """Returns the monitored value, or `None` for an epoch without validation."""
        if self.monitor in logs:
            return float(logs[self.monitor])
        validated = any(name.startswith("val_") for name in logs)
        if validated or not self.monitor.startswith("val_"):
            raise ValueError(
                f"The logs do not contain {self.monitor!r}, which selects the best epoch, only: "
                f"{sorted(logs)}"
            )
        if self.best is None and not self._told:
            self._told = True
            warnings.warn(
                f"Epoch {epoch + 1} has no validation, so there is no {self.monitor!r} to select "
                "the best epoch. Without `validation_data` there will be no best.keras; use "
                "`monitor='loss'` in this case.",
                stacklevel=2,
            )
        return None

    def _is_better(self, value):
        if self.best is None:
            return True
        return value < self.best if self.mode == "min" else value > self.best

    def _save_best(self, epoch, value):
        with _averages(self.model) if self.averaged else contextlib.nullcontext():
            save_atomically(self.model, self.folder / BEST_MODEL)
        self.best = None if math.isnan(value) else value
        best = {"monitor": self.monitor, "mode": self.mode, "value": self.best, "epoch": epoch + 1}
        write_json(self.folder / BEST_VALUE, best)

    @staticmethod
    def latest(folder):
        """Returns the path of the last checkpoint and its number of epochs, or `None, 0`."""
        paths = _checkpoints(folder)
        if not paths:
            return None, 0
        return paths[-1], _epochs_of(paths[-1])

    @staticmethod
    def read_best(folder):
        """Returns the record of the best epoch in a folder.

        Args:
            folder: The folder.

        Returns:
            Dict with `"monitor"`, `"mode"`, `"value"` (`None` for NaN) and `"epoch"`, the number of
            epochs; or `None` if there is no record.

        Raises:
            ValueError: If the record is damaged.
        """
        path = Path(folder) / BEST_VALUE
        try:
            best = json.loads(path.read_text())
            return {
                "monitor": str(best["monitor"]),
                "mode": str(best["mode"]),
                "value": None if best["value"] is None else float(best["value"]),
                "epoch": int(best["epoch"]),
            }
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is damaged ({error}), so the value of the best epoch is unknown. Restore "
                f"the file, or move it and {BEST_MODEL} away to keep the best of the later epochs."
            ) from error


def _checkpoints(folder):
    """Returns the paths of the epoch checkpoints by number; other file names are ignored."""
    paths = (path for path in Path(folder).glob("epoch-*.keras") if CHECKPOINT.fullmatch(path.name))
    return sorted(paths, key=_epochs_of)


def _epochs_of(path):
    return int(CHECKPOINT.fullmatch(path.name)[1])


@contextlib.contextmanager
def _averages(model):
    """Replaces the weights by the optimizer's moving averages inside the block."""
    # JAX arrays are immutable. Restoring them through NumPy would require all processes.
    on_jax = keras.backend.backend() == "jax"
    weights = [
        variable.value if on_jax else keras.ops.convert_to_numpy(variable)
        for variable in model.trainable_variables
    ]
    model.optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, weights, strict=True):
            variable.assign(value)
