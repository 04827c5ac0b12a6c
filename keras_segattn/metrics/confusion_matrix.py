"""The confusion matrix of a segmentation, and what is read from it."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="keras_segattn")
class ConfusionMatrix(keras.metrics.Metric):
    """Counts the pixels of each true class (row) that were given each class (column).

    `matrix[i, j] = |{p : y(p) = i and argmax_c x(p)_c = j}|` over all pixels `p` that are not void.
    `confusion_scores` reads the intersection over union and the accuracy from it.

    Args:
        num_classes: Integer, the number of classes.
        ignore_class: Integer, the label of void pixels, which are left out. Defaults to `255`.
        name: Name of the metric. Defaults to `"confusion_matrix"`.
        **kwargs: `dtype`, as in every Keras metric.

    Call arguments:
        y_true: Integer labels of shape `(batch, height, width)`.
        y_pred: Logits or probabilities of shape `(batch, height, width, classes)`.

    Returns:
        Float tensor of shape `(num_classes, num_classes)`.

    Example:

    >>> metric = ConfusionMatrix(num_classes=2)
    >>> metric.update_state(np.array([[[0, 1, 255]]]), np.eye(2)[[[[0, 0, 1]]]])
    >>> np.array(metric.result()).tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    """

    def __init__(self, num_classes, ignore_class=255, name="confusion_matrix", **kwargs):
        super().__init__(name=name, **kwargs)
        self.num_classes = num_classes
        self.ignore_class = ignore_class
        self.matrix = self.add_variable(
            shape=(num_classes, num_classes), initializer="zeros", name="matrix"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds the pixels of a batch.

        Args:
            y_true: Integer labels of shape `(batch, height, width)`.
            y_pred: Logits of shape `(batch, height, width, classes)`.
            sample_weight: Weight of each pixel, of shape `(batch, height, width)`. Defaults to
                `None`, one each.
        """
        y_true = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        predicted = ops.reshape(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), (-1,))
        valid = ops.not_equal(y_true, self.ignore_class)
        weights = ops.cast(valid, self.dtype)
        if sample_weight is not None:
            weights = weights * ops.reshape(ops.cast(sample_weight, self.dtype), (-1,))
        cell = ops.where(valid, y_true, 0) * self.num_classes + predicted
        counts = ops.segment_sum(weights, cell, num_segments=self.num_classes**2)
        self.matrix.assign_add(ops.reshape(counts, self.matrix.shape))

    def result(self):
        return ops.convert_to_tensor(self.matrix)

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
