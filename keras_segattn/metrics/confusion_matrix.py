"""The confusion matrix of a segmentation, and the scores computed from it."""

import keras
import numpy as np
from keras import ops

from keras_segattn.ground_truth import (
    check_labels,
    expand_sample_weight,
    match_shapes,
    split_labels,
)

# float32 counts up to 2^24 without a gap, so a count is kept in two numbers: `high * WORD + low`.
# The replicas of a strategy add up their `low`, which is exact for 256 of them.
WORD = 2**16
# Pixels that are counted in one float32 number.
CHUNK = 2**22


@keras.saving.register_keras_serializable(package="keras_segattn")
class ConfusionMatrix(keras.metrics.Metric):
    """Counts the pixels of each true class (row) that were given each class (column).

    `matrix[i, j] = |{p : y(p) = i and argmax_c x(p)_c = j}|` over all pixels `p` that are not void.
    `confusion_scores` reads the intersection over union and the accuracy from it.

    The counts are exact up to 2^40 pixels on every backend, in mixed precision too. `result` rounds
    them to float32 as compiled code needs it, `counts` returns them as they are.

    Args:
        num_classes: Integer, the number of classes.
        ignore_class: Integer, the label of void pixels, which are left out. Defaults to `255`.
        name: Name of the metric. Defaults to `"confusion_matrix"`.
        **kwargs: `dtype`, as in every Keras metric.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)` or `(batch, height, width, 1)`.
        y_pred: Logits or probabilities of shape `(batch, height, width, num_classes)`.

    Returns:
        float32 tensor of shape `(num_classes, num_classes)`.

    Raises:
        ValueError: If shapes or the number of classes do not fit, or a label in a NumPy array is
            neither a class nor void. In a tensor such a label makes the result NaN, and so do NaN
            logits of a pixel that is not void.

    Example:

    >>> metric = ConfusionMatrix(num_classes=2)
    >>> metric.update_state(np.array([[[0, 1, 255]]]), np.eye(2)[[[[0, 0, 1]]]])
    >>> metric.counts().tolist()
    [[1, 0], [1, 0]]
    """

    def __init__(self, num_classes, ignore_class=255, name="confusion_matrix", **kwargs):
        super().__init__(name=name, **kwargs)
        if num_classes < 2:
            raise ValueError(
                "`num_classes` must be at least 2: with one, every pixel is right. Received: "
                f"{num_classes}"
            )
        self.num_classes = num_classes
        self.ignore_class = ignore_class
        self.low, self.high = (
            self.add_variable(
                shape=(num_classes, num_classes), initializer="zeros", dtype="float32", name=name
            )
            for name in ("low", "high")
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds the pixels of a batch.

        Args:
            y_true: Integer labels of shape `(batch, height, width)`.
            y_pred: Logits of shape `(batch, height, width, num_classes)`.
            sample_weight: Weight of each image, of shape `(batch,)`, or of each pixel, of shape
                `(batch, height, width)`. Defaults to `None`, one each.
        """
        if isinstance(y_true, (list, np.ndarray)):
            check_labels(y_true, self.num_classes, self.ignore_class)
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        y_true = match_shapes(y_true, y_pred, self.num_classes)
        labels, valid, faulty = split_labels(y_true, self.num_classes, self.ignore_class)
        predicted = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        faulty = ops.logical_or(faulty, ops.logical_and(valid, ops.any(ops.isnan(y_pred), axis=-1)))
        weights = ops.cast(valid, "float32")
        sample_weight = expand_sample_weight(sample_weight, len(y_true.shape))
        if sample_weight is not None:
            weights = weights * sample_weight
        self._add(labels * self.num_classes + predicted, weights)
        self.low.assign(self.low + ops.where(ops.any(faulty), float("nan"), 0.0))

    def _add(self, cells, weights):
        cells, weights = ops.reshape(cells, (-1,)), ops.reshape(weights, (-1,))
        pixels = ops.shape(cells)[0]
        chunks = (pixels + CHUNK - 1) // CHUNK
        count = self.num_classes**2
        cells = cells + count * (ops.arange(pixels, dtype="int32") // CHUNK)
        sums = ops.segment_sum(weights, cells, num_segments=chunks * count)
        sums = ops.reshape(sums, (-1, *self.low.shape))
        words = ops.floor(sums / WORD)
        low = self.low + ops.sum(sums - words * WORD, axis=0)
        carry = ops.floor(low / WORD)
        self.low.assign(low - carry * WORD)
        self.high.assign_add(ops.sum(words, axis=0) + carry)

    def result(self):
        return self.high * WORD + self.low

    def counts(self):
        """Returns the counts as an array of int64, or of float64 after fractional sample weights.

        Raises:
            ValueError: If a label was neither a class nor void, or logits were NaN.
        """
        low, high = (ops.convert_to_numpy(word).astype("float64") for word in (self.low, self.high))
        matrix = high * WORD + low
        if np.isnan(matrix).any():
            raise ValueError(
                f"A label was neither a class from 0 to {self.num_classes - 1} nor void "
                f"({self.ignore_class}), or the logits of a pixel were NaN."
            )
        rounded = matrix.astype("int64")
        return rounded if np.array_equal(rounded, matrix) else matrix

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "ignore_class": self.ignore_class,
        }


def confusion_scores(matrix, class_names=None):
    """Reads intersection over union and accuracy from a confusion matrix.

    `IoU_i = matrix[i, i] / (row_i + column_i - matrix[i, i])`, the mean over the classes that
    occur in the labels or the predictions, and the share of right pixels.

    Args:
        matrix: Array of shape `(classes, classes)`, true classes in rows.
        class_names: Names of the classes. Defaults to their numbers.

    Returns:
        Dict with `"mean_iou"`, `"pixel_accuracy"` and `"iou"`, a dict from each class to its
        intersection over union, `None` for a class that does not occur.

    Example:

    >>> confusion_scores([[6, 2], [0, 2]], ["road", "car"])["iou"]
    {'road': 0.75, 'car': 0.5}
    """
    matrix = np.asarray(matrix, dtype="float64")
    if class_names is None:
        class_names = [str(i) for i in range(len(matrix))]
    if len(class_names) != len(matrix):
        raise ValueError(
            f"{len(class_names)} class names do not fit a matrix of {len(matrix)} classes."
        )
    hits = np.diag(matrix)
    union = matrix.sum(axis=0) + matrix.sum(axis=1) - hits
    occurs = union > 0
    iou = np.divide(hits, union, out=np.zeros_like(hits), where=occurs)
    return {
        "mean_iou": float(iou[occurs].mean()) if occurs.any() else None,
        "pixel_accuracy": float(hits.sum() / matrix.sum()) if occurs.any() else None,
        "iou": {
            name: float(value) if seen else None
            for name, value, seen in zip(class_names, iou, occurs, strict=True)
        },
    }
