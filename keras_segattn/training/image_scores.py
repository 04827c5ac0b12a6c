"""Scores per image, the worst first."""

import csv

from keras_segattn.atomic_files import atomic_path
from keras_segattn.metrics import confusion_scores

COLUMNS = ("mean_iou", "mean_f1", "pixel_accuracy")


class ImageScores:
    """Scores of the images of a data set, collected one by one.

    Args:
        class_names: Class names.
    """

    def __init__(self, class_names):
        self.class_names = list(class_names)
        self._rows = []

    def add(self, index, name, matrix):
        """Adds an image.

        Args:
            index: Integer, its index in the data set.
            name: Its name.
            matrix: Its confusion matrix, as in `confusion_scores`.
        """
        scores = confusion_scores(matrix, self.class_names)
        row = {"image": name, "index": index, **{key: scores[key] for key in COLUMNS}}
        row.update((f"iou_{key}", value) for key, value in scores["iou"].items())
        self._rows.append(row)

    def rows(self):
        """Returns a dict per image, by increasing mean IoU; fully void images come last."""
        return sorted(
            self._rows,
            key=lambda row: (row["mean_iou"] is None, row["mean_iou"] or 0.0, row["index"]),
        )

    def worst(self, count):
        """Returns the indices of the images with the lowest mean IoU, without void images."""
        return [row["index"] for row in self.rows() if row["mean_iou"] is not None][:count]

    def best(self, count):
        """Returns the indices of the images with the highest mean IoU, the best first."""
        return self.worst(len(self._rows))[::-1][:count]

    def write(self, path):
        """Writes a CSV file with a row per image; undefined scores are left empty."""
        columns = ["image", "index", *COLUMNS, *(f"iou_{name}" for name in self.class_names)]
        with atomic_path(path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(self.rows())
