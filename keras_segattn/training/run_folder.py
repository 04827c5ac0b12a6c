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

    def open(self, recipe, settings, resume, write=True):
        """Makes the folder of a new run, or checks that a resumed one was started like this.

        Args:
            recipe: The `Recipe`.
            settings: Dict of what else decides the result.
            resume: Boolean, whether a run that has begun may go on.
            write: Boolean, whether this process is the one that writes. Defaults to `True`.

        Raises:
            ValueError: If a run has begun and `resume` is false, or it was started otherwise.
        """
        # As JSON gives them back.
        settings = json.loads(json.dumps({**dataclasses.asdict(recipe), **settings}))
        config = self.path / "config.json"
        begun = AtomicCheckpoint.latest(self.checkpoints)[0] is not None
        if begun and not resume:
            raise ValueError(
                f"{self.path} holds a run. Go on with --resume, or choose another --run."
            )
        if begun:
            before = json.loads(config.read_text())["settings"]
            changed = [
                f"{key} was {before.get(key)}, is {value}"
                for key, value in settings.items()
                if before.get(key, value) != value  # an option may be younger than the run
            ]
            if changed:
                raise ValueError(
                    f"--resume needs the settings {self.path} began with: {'; '.join(changed)}"
                )
            return
        if not write:
            return
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(
            config,
            {
                "settings": settings,
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
        temporary = self.log.with_suffix(".part")
        with open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        os.replace(temporary, self.log)
        return rows


def write_json(path, value):
    """Writes a value as JSON, whole or not at all."""
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(temporary, path)


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
