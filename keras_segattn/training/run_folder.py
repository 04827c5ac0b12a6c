"""The folder of a training run: settings and progress."""

import contextlib
import csv
import dataclasses
import json
import os
import platform
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_segattn.atomic_files import atomic_path, make_folder, write_json
from keras_segattn.callbacks import AtomicCheckpoint
from keras_segattn.training.data_fingerprint import describe_data
from keras_segattn.training.folder_lock import locked
from keras_segattn.version import __version__
from keras_segattn.wording import counted

# The default log column for choosing the best epoch.
MONITOR = "val_mean_iou"
# Files that are written once a run has ended.
RESULTS = ("model.keras", "curves.png", "metrics.json", "report.html")
MOVE = ", or move best.keras and best.json away to keep the best of the later epochs"


class RunFolder:
    """Configuration, log, checkpoints and results of a run.

    Args:
        path: The folder.
        monitor: Column of the log for choosing the best epoch. Defaults to `"val_mean_iou"`.

    Attributes:
        checkpoints: Folder of the checkpoints.
        log: Path of the log, a CSV file with a row per epoch.
    """

    def __init__(self, path, monitor=MONITOR):
        self.path = Path(path)
        self.columns = {"epoch", "loss", monitor}
        self.checkpoints = self.path / "checkpoints"
        self.log = self.path / "log.csv"
        self.best = self.checkpoints / "best.keras"

    def locked(self, write=True):
        """Returns a context in which no other process may write to the folder.

        Args:
            write: Boolean, whether this process writes. Defaults to `True`.

        Raises:
            RuntimeError: On entering, if another process holds the folder; the message names it.
        """
        return locked(self.path) if write else contextlib.nullcontext()

    def has_begun(self):
        """Returns whether an epoch of the run is finished."""
        return AtomicCheckpoint.latest(self.checkpoints)[0] is not None

    def open(self, recipe, options, data, resume=True, write=True):
        """Creates the folder of a new run, or checks that an existing run has the same settings.

        Args:
            recipe: The `Recipe`.
            options: The `TrainingOptions`.
            data: Dict of `SegmentationDataset`.
            resume: Boolean, whether an existing run may be resumed. Defaults to `True`.
            write: Boolean, whether this process writes. Defaults to `True`.

        Raises:
            ValueError: If a run exists and `resume` is false, if its settings differ, or if the
                folder contains unrelated files that a run would replace.
        """
        config = self.path / "config.json"
        decisive = {
            **dataclasses.asdict(recipe),
            **options.decisive(),
            **{
                f"{split} {key}": value
                for split, dataset in data.items()
                for key, value in describe_data(dataset).items()
            },
        }
        decisive = json.loads(json.dumps(decisive, default=os.fspath))
        if self.has_begun():
            if not resume:
                raise ValueError(
                    f"{self.path} contains a run. Resume with `resume=True`, or choose another "
                    "`folder`."
                )
            before = self._read_decisive(config)
            changed = [
                f"{key} was {before.get(key)}, is {value}"
                for key, value in decisive.items()
                if before.get(key, value) != value  # an option may be newer than the run
            ]
            if changed:
                raise ValueError(
                    f"{self.path} contains a run with other settings: {'; '.join(changed)}. "
                    "Resume with the same settings, or choose another `folder`."
                )
            return
        rows = self._read_log()
        if len(rows) > 1:  # A process killed in its first epoch leaves one row.
            raise ValueError(
                f"{self.log} has {counted(len(rows), 'epoch')}, but {self.checkpoints} contains no "
                "checkpoint. Restore the checkpoints, or choose another `folder`."
            )
        if not write:
            return
        self._check_own(config)
        if not (self.checkpoints / "best.json").exists():
            # From a process killed between the two files of the first epoch, which is trained
            # again.
            with contextlib.suppress(FileNotFoundError):
                self.best.replace(self.best.with_name("earlier-best.keras"))
        make_folder(self.path)
        write_json(
            config,
            {
                "decisive": decisive,
                "options": dataclasses.asdict(options),
                "command": sys.argv,
                "commit": _git_commit(),
                "backend": keras.backend.backend(),
                "platform": platform.platform(),
                "versions": {
                    "python": platform.python_version(),
                    "keras": keras.__version__,
                    "keras_segattn": __version__,
                    "numpy": np.__version__,
                },
            },
        )

    def _check_own(self, config):
        """Raises a ValueError if a run would replace unrelated files in the folder."""
        if config.exists():
            with contextlib.suppress(ValueError):
                if "decisive" in json.loads(config.read_text()):
                    return
        for path in (config, self.best, *(self.path / name for name in RESULTS)):
            if path.exists():
                raise ValueError(
                    f"{path} does not belong to a run, but a run would replace it. Move it away, "
                    "or choose another `folder`."
                )

    def last_checkpoint(self, epochs):
        """Returns the path of the checkpoint to resume from, and its number of epochs.

        Args:
            epochs: Integer, the number of epochs of the whole training.

        Returns:
            Tuple of the path and the number; `None` and 0 if the run has not begun. If the last
            checkpoint is damaged, the best epoch is used instead, with a printed message.

        Raises:
            ValueError: If no checkpoint can be read, a checkpoint has more than `epochs` epochs, or
                the model or value of the best epoch is missing or damaged.
        """
        path, done = AtomicCheckpoint.latest(self.checkpoints)
        if path is None:
            return None, 0
        if done > epochs:
            raise ValueError(
                f"{path} contains {counted(done, 'finished epoch')}; the training has {epochs}. "
                "Move it away if it belongs to another run, or choose another `folder`."
            )
        best = AtomicCheckpoint.read_best(self.checkpoints)
        self._check_best(best, path, finished=done == epochs)
        best_is_whole = best is None or is_whole(self.best)
        if is_whole(path):
            if not best_is_whole:
                raise ValueError(
                    f"{self.best} is damaged, so the model of the best epoch, {best['epoch']}, "
                    f"cannot be read. Restore it{'' if done == epochs else MOVE}, or choose "
                    "another `folder`."
                )
            return path, done
        if best is None or not best_is_whole or best["epoch"] > done:
            raise ValueError(
                f"{path} is damaged, and there is no other checkpoint to resume from. Restore it, "
                "or choose another `folder`."
            )
        print(f"{path} is damaged: resuming from the best epoch, {best['epoch']}", flush=True)
        return self.best, best["epoch"]

    def set_aside_after(self, epochs):
        """Renames the damaged checkpoints of epochs after a number."""
        path, done = AtomicCheckpoint.latest(self.checkpoints)
        if done > epochs:
            path.replace(path.with_name(f"damaged-{path.name}"))

    def truncate_log(self, epochs, write=True):
        """Drops log rows of epochs without a checkpoint; returns the remaining rows.

        With `write=False`, the file stays unchanged.
        """
        rows = [row for row in self._read_log() if int(row["epoch"]) < epochs]
        if not write:
            return rows
        if not rows:
            self.log.unlink(missing_ok=True)
            return []
        with atomic_path(self.log) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        return rows

    def _check_best(self, best, path, finished):
        """Raises a ValueError unless the best epoch is complete or was removed on purpose."""
        if self.best.exists() == (best is not None) and not (finished and best is None):
            return
        missing = "best.json" if self.best.exists() else "best.keras"
        raise ValueError(
            f"{self.checkpoints} contains {path.name}, but {missing} is missing, so the best epoch "
            f"is unknown. Restore {missing}{'' if finished else MOVE}, or choose another `folder`."
        )

    def _read_log(self):
        """Returns the complete rows of the log; no rows if there is no log."""
        try:
            with open(self.log, newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                rows = list(reader)
                missing = sorted(self.columns - set(reader.fieldnames or self.columns))
            if missing:
                raise ValueError(f"it has no column {missing[0]!r}")
            # A truncated row lacks its last values.
            rows = [row for row in rows if None not in row.values()]
            [int(row["epoch"]) for row in rows]
        except FileNotFoundError:  # or removed by the writing process
            return []
        except (ValueError, csv.Error) as error:
            raise ValueError(
                f"{self.log} is damaged or from another program: {error}. Restore it, or move it "
                "away: the run then continues without the rows of the epochs so far."
            ) from error
        return rows

    def _read_decisive(self, config):
        """Returns the settings with which the run was started."""
        try:
            decisive = json.loads(config.read_text(encoding="utf-8"))["decisive"]
            return dict(decisive)
        except FileNotFoundError:
            fault = "missing"
        except (ValueError, KeyError, TypeError) as error:
            fault = f"damaged ({error})"
        raise ValueError(
            f"{config} is {fault}, so the settings of the run are unknown. Restore the file, or "
            "choose another `folder`."
        )


def is_whole(path):
    """Returns whether a `.keras` file and the weights inside can be read to their ends."""
    try:
        with zipfile.ZipFile(path) as file:
            if file.testzip() is not None:
                return False
            # HDF5 compares the size of the file with the size it records.
            with file.open("model.weights.h5") as weights, h5py.File(weights):
                return True
    except (OSError, KeyError, zipfile.BadZipFile, zlib.error, EOFError):
        return False


def _git_commit():
    """Returns the commit of the checkout that contains the program, or `None`."""
    here = Path(__file__).parent
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=here,
            capture_output=True,
            text=True,
        )
    except OSError:
        return None
    return result.stdout.strip() or None
