"""The folder of a training run: what it was started with, and how far it has come."""

import csv
import dataclasses
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np

from keras_segattn.atomic_files import atomic_path, write_json
from keras_segattn.callbacks import AtomicCheckpoint
from keras_segattn.version import __version__


class RunFolder:
    """Configuration, log, checkpoints and results of a run.

    Args:
        path: The folder.

    Attributes:
        checkpoints: Folder of the checkpoints.
        log: Path of the log, a CSV file with a row per epoch.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.log = self.path / "log.csv"

    def has_begun(self):
        """Returns whether an epoch of the run is finished."""
        return AtomicCheckpoint.latest(self.checkpoints)[0] is not None

    def open(self, recipe, options, data, resume=True, write=True):
        """Makes the folder of a new run, or checks that a begun one was started like this.

        Args:
            recipe: The `Recipe`.
            options: The `TrainingOptions`.
            data: Dict of `SegmentationDataset`.
            resume: Boolean, whether a run that has begun may go on. Defaults to `True`.
            write: Boolean, whether this process is the one that writes. Defaults to `True`.

        Raises:
            ValueError: If a run has begun and `resume` is false, or it was started otherwise.
        """
        config = self.path / "config.json"
        decisive = {
            **dataclasses.asdict(recipe),
            **options.decisive(),
            **{f"{split} data": _describe(dataset) for split, dataset in data.items()},
        }
        decisive = json.loads(json.dumps(decisive, default=os.fspath))
        if self.has_begun():
            if not resume:
                raise ValueError(
                    f"{self.path} holds a run. Go on with `resume=True`, or choose another "
                    "`folder`."
                )
            before = json.loads(config.read_text())["decisive"]
            changed = [
                f"{key} was {before.get(key)}, is {value}"
                for key, value in decisive.items()
                if before.get(key, value) != value  # an option may be younger than the run
            ]
            if changed:
                raise ValueError(
                    f"{self.path} holds a run that was started otherwise: {'; '.join(changed)}. "
                    "Go on with the same settings, or choose another `folder`."
                )
            return
        if not write:
            return
        self.path.mkdir(parents=True, exist_ok=True)
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

    def truncate_log(self, epochs, write=True):
        """Drops the rows of epochs that no checkpoint has; returns those that are left.

        With `write=False` the file stays as it is.
        """
        try:
            with open(self.log, newline="") as file:
                rows = list(csv.DictReader(file))
        except FileNotFoundError:  # or removed by the process that writes
            return []
        # A row that was cut off lacks its last values.
        rows = [row for row in rows if None not in row.values() and int(row["epoch"]) < epochs]
        if not write:
            return rows
        if not rows:
            self.log.unlink()
            return []
        with atomic_path(self.log) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        return rows


def _describe(dataset):
    """What a run that goes on must find again; the folder may be another one."""
    height, width = dataset.read(0)[1].shape
    return f"{dataset!r}, the first one of {height}x{width} pixels"


def _git_commit():
    """The commit of the checkout that the program is in, or None."""
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
