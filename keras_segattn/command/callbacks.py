"""Callbacks of the command: the configuration, pictures of each epoch, the time left."""

import time
from pathlib import Path

import keras
import numpy as np

from keras_segattn.atomic_files import make_folder, write_text
from keras_segattn.command.configuration import FILE, write_configuration
from keras_segattn.data import SegmentationDataset
from keras_segattn.images.fitted_size import fitted_size

# Longest side of an epoch's picture.
LONGEST = 512


class WriteConfiguration(keras.callbacks.Callback):
    """Writes the configuration of a run and the samples of its parts, when training begins.

    It writes nothing earlier, because the folder may contain another run, which `train` refuses to
    replace.

    Args:
        configuration: A `Configuration`.
        data: Dict of `SegmentationDataset`.
    """

    def __init__(self, configuration, data):
        super().__init__()
        self.configuration, self.data = configuration, data

    def on_train_begin(self, logs=None):
        folder = Path(self.configuration.run)
        make_folder(folder)
        write_configuration(folder / FILE, self.configuration)
        rows = [
            f"{part}\t{data.name(index)}"
            for part, data in self.data.items()
            for index in range(len(data))
        ]
        write_text(folder / "parts.tsv", "\n".join(["part\tsample", *rows]) + "\n")


class TimeLeft(keras.callbacks.Callback):
    """Prints the remaining time after each epoch."""

    def on_train_begin(self, logs=None):
        self.start, self.done, self.compiled = time.time(), 0, False

    def on_epoch_end(self, epoch, logs=None):
        self.done += 1
        left = self.params["epochs"] - epoch - 1
        if left:
            each = (time.time() - self.start) / self.done
            print(f"epoch {epoch + 1} of {self.params['epochs']}, {in_words(each * left)} left")
        if not self.compiled:
            # The first epoch includes compilation, so later epochs give a better estimate.
            self.start, self.done, self.compiled = time.time(), 0, True


class SmallSamples(SegmentationDataset):
    """A data set with reduced images and masks, for pictures.

    Args:
        dataset: A `SegmentationDataset`.
        longest: Integer, the longest side. Defaults to `512`.
    """

    def __init__(self, dataset, longest=LONGEST):
        self._copy_description(dataset)
        self.dataset, self.longest = dataset, longest

    def __len__(self):
        return len(self.dataset)

    def name(self, index):
        return self.dataset.name(index)

    def read(self, index):
        image, mask = self.dataset.read(index)
        height, width = fitted_size(*image.shape[:2], long_side=self.longest)
        # Subsampled rows and columns, because a mask must not be averaged.
        rows, columns = (
            np.linspace(0, side - 1, new).round().astype(int)
            for side, new in zip(image.shape[:2], (height, width), strict=True)
        )
        return image[rows][:, columns], mask[rows][:, columns]


def in_words(seconds):
    """Returns a duration as text.

    >>> in_words(40), in_words(4000)
    ('40 s', '67 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
