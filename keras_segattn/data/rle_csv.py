"""Run-length encodings in a CSV file, as in Kaggle competitions."""

import csv
from pathlib import Path

import numpy as np

from keras_segattn.arguments import check_choice
from keras_segattn.data.annotated_images import AnnotatedImages
from keras_segattn.data.patterns import NamePattern, find_by_pattern
from keras_segattn.data.regions import Region

HOW_TO_GET = "Pass the folder of the images that the CSV file names."


class RLECSV(AnnotatedImages):
    """Images with masks as run lengths in a CSV file, as in Kaggle competitions.

    A row has an image and runs `START LENGTH START LENGTH ...`, with pixels counted from 1 down the
    columns. A row without runs has no object. Several rows may belong to one image.

    Args:
        annotations: Path of the CSV file.
        images: Folder of the images. Only images named in the CSV file are read.
        image_column: Name of the column of the images, with or without suffix. Defaults to
            `"ImageId"`.
        runs_column: Name of the column of the runs. Defaults to `"EncodedPixels"`.
        class_column: Name of the column of the labels; `None` for a file with one class. Defaults
            to `None`.
        **kwargs: `class_names`, `label_map`, `background`, `task`, `palette`, `channels` and
            `value_range`, as for `AnnotatedImages`. Labels are text. Without `class_column`, the
            task is `"binary"`, and `class_names` has one name, `"object"` by default.

    Raises:
        FileNotFoundError: If the file, the folder or an image is missing.
        ValueError: If the file has other columns, or an argument does not fit.

    Example:

    ```python
    data = keras_segattn.data.RLECSV("train.csv", "train_images", class_column="ClassId")
    ```
    """

    def __init__(
        self,
        annotations,
        images,
        image_column="ImageId",
        runs_column="EncodedPixels",
        class_column=None,
        **kwargs,
    ):
        path = Path(annotations)
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
        for name in filter(None, (image_column, runs_column, class_column)):
            check_choice(f"the column of {path}", name, reader.fieldnames or ())
        found = find_by_pattern(images, NamePattern("{name}.*", "images"), HOW_TO_GET)
        image_of = {name: image for (name, _), image in found.items()}
        image_of |= {image.relative_to(images).as_posix(): image for image in found.values()}
        self._rows = {}
        for number, row in enumerate(rows, start=2):
            image = image_of.get(row[image_column])
            if image is None:
                raise FileNotFoundError(
                    f"{path}, line {number}: {images} has no image {row[image_column]!r}."
                )
            label = row[class_column] if class_column else "object"
            self._rows.setdefault(image, []).append((number, label, row[runs_column] or ""))
        if class_column is None:
            kwargs = {"task": "binary", "class_names": ["object"], **kwargs}
        labels = sorted({label for entries in self._rows.values() for _, label, _ in entries})
        super().__init__([(image, path) for image in sorted(self._rows)], labels, **kwargs)

    def regions(self, index, size):
        image, path = self._samples[index]
        entries = self._rows[image]
        return [_region(label, f"{path}, line {n}", runs) for n, label, runs in entries], size


def _region(label, where, text):
    try:
        # Some competitions write -1 for no object.
        numbers = np.array([] if text.strip() == "-1" else text.split(), dtype="int64")
        if len(numbers) % 2:
            raise ValueError("runs are pairs of a start and a length")
    except ValueError as error:
        raise ValueError(f"{where}: {error}. Received: {text[:60]!r}") from error
    return Region(label, "runs", (numbers[::2] - 1, numbers[1::2]), where)
